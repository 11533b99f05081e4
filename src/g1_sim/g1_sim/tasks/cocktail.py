# SPDX-License-Identifier: Apache-2.0
"""Mix a cocktail: two named bottles into a shaker, lid, shake, pour, hand the glass over."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from g1_description.joints import HOME
from g1_sim.items import COLOURS, Item, add_item
from g1_sim.parts.vessel import Lid, Vessel, add_lid, add_vessel
from g1_sim.postures import LIFT, PITCH, READY_LEFT, mirrored
from g1_sim.scene import Distribution, Scene, add_fixture, room
from g1_sim.tasks.base import Judge
from g1_sim.tasks.cocktail_judge import cocktail_judge
from g1_sim.world import World

Array = NDArray[np.float64]

PHRASES = (
    'mix the {first} bottle and then the {second} one in the shaker, shake it and serve the glass',
    'pour the {first} bottle, then the {second} bottle into the shaker, shake it, fill the glass '
    'and hand it over to the coaster',
    'make a cocktail of {first} and then {second}, shaken, and put the glass on the coaster',
    'shake a drink from the {first} bottle first and the {second} bottle second, and serve it',
)
HELD_OUT_PHRASES = (
    'a cocktail please: {first} first, {second} next, well shaken, on the coaster',
    'I would like {first} followed by {second} from the shaker, in the glass on the coaster',
)

_SEED = 7
_HEAD_PITCH = 0.50
_SHELF = (0.90, 1.14)
_SHELF_X = 0.945
_SLOTS = (0.085, 0.262)
_WOOD = (0.45, 0.30, 0.20, 1.0)
_METAL = (0.70, 0.72, 0.75, 1.0)
_STEEL = (0.66, 0.68, 0.72, 1.0)
_GLASS = (0.75, 0.88, 0.92, 0.55)
_FELT = (0.15, 0.15, 0.18, 1.0)


class Cocktail:
    """Eight subtasks with both hands; bottles stand on a shelf, the rest on a counter."""

    name = 'cocktail'
    time_limit = 96.0
    subtasks: Sequence[str] = (
        'shaker placed', 'first poured', 'second poured', 'lid on', 'shaken', 'lid off',
        'glass filled', 'glass served')

    def scene(self, seed: int, distribution: Distribution = 'train') -> Scene:
        """Draw a scene: which side the glass is on, three bottles, an order of two of them."""
        shifted = distribution == 'deploy'
        rng = np.random.default_rng([seed, 1 if shifted else 0, _SEED])
        counter = rng.uniform(0.68, 0.70) + (rng.choice([-0.015, 0.015]) if shifted else 0.0)
        board = rng.uniform(0.855, 0.875)
        spec = room(light=rng.uniform(0.5, 0.8) if shifted else rng.uniform(0.85, 1.15))
        top = add_fixture(spec, 'counter', (0.63, 0, counter - 0.02), (0.19, 0.55, 0.02), _WOOD)
        for y in (-0.5, 0.5):
            add_fixture(spec, f'leg{y:+}', (0.63, y, counter / 2 - 0.02),
                        (0.15, 0.02, counter / 2 - 0.02), _METAL)
            add_fixture(spec, f'side{y:+}', (1.02, 0.92 * y, board / 2 - 0.01),
                        (0.12, 0.01, board / 2 - 0.01), _METAL)
        add_fixture(spec, 'shelf', (sum(_SHELF) / 2, 0, board - 0.01),
                    ((_SHELF[1] - _SHELF[0]) / 2, 0.45, 0.01), _WOOD)
        giver = int(rng.integers(2))
        sign = 1.0 if giver == 0 else -1.0
        friction = rng.uniform(0.4, 0.6) if shifted else rng.uniform(0.7, 0.9)
        cup, lid, glass = _vessels(rng, friction, shifted=shifted)
        bottles = _bottles(rng, friction, shifted=shifted)
        spots = {
            'work': _spot(rng, 0.615, 0.0, sign), 'coaster': _spot(rng, 0.66, -0.14, sign),
            cup.name: _spot(rng, 0.575, -0.25, sign), glass.name: _spot(rng, 0.67, 0.265, sign)}
        homes = _homes(rng, [*bottles, lid.name], sign, board)
        for bottle in bottles.values():
            add_item(spec, bottle)
        add_vessel(spec, cup, _STEEL)
        add_lid(spec, lid, _FELT if shifted else _METAL)
        add_vessel(spec, glass, _GLASS)
        _mark(spec, 'coaster', spots['coaster'], counter, 0.05, _FELT)
        _mark(spec, 'work', spots['work'], counter, 0.045, (0.85, 0.83, 0.75, 1.0))
        for name in (cup.name, glass.name):
            homes[name] = np.array([*spots[name], counter])
        first, second = (bottles[str(name)] for name in
                         rng.choice(sorted(bottles), size=2, replace=False))
        phrase = PHRASES[int(rng.integers(len(PHRASES)))]
        return Scene(
            task=self.name, distribution=distribution, seed=seed,
            instruction=phrase.format(first=first.colour, second=second.colour), spec=spec,
            posture=np.concatenate([_ready(), [0.0, _HEAD_PITCH, LIFT, PITCH]]),
            placements={name: (home + np.array([0, 0, 0.001]), np.array([1.0, 0, 0, 0]))
                        for name, home in homes.items()},
            keep_out=(top,),
            facts={'bottles': bottles, 'order': (first.name, second.name), 'cup': cup,
                   'lid': lid, 'glass': glass, 'homes': homes, 'work': spots['work'],
                   'coaster': spots['coaster'], 'giver': giver, 'counter': counter,
                   'board': board, 'friction': friction})

    def judge(self, world: World) -> Judge:
        """Return the judge of an episode."""
        return cocktail_judge(world, self.subtasks, self.time_limit)


def _ready() -> Array:
    ready = HOME.copy()
    ready[:7] = READY_LEFT
    ready[8:15] = mirrored(READY_LEFT)
    return ready


def _spot(rng: np.random.Generator, x: float, y: float, sign: float) -> Array:
    """Draw a spot of the counter around one that is meant for a left giver."""
    return np.array([x, sign * y]) + rng.uniform(-0.012, 0.012, 2)


def _vessels(
    rng: np.random.Generator, friction: float, *, shifted: bool,
) -> tuple[Vessel, Lid, Vessel]:
    """Draw the shaker's cup, its lid, which has 2 to 4 mm play in it, and the glass."""
    radius = rng.uniform(0.0265, 0.031) if shifted else rng.uniform(0.028, 0.030)
    play = rng.uniform(0.002, 0.003) if shifted else rng.uniform(0.003, 0.004)
    cup = Vessel('cup', radius, rng.uniform(0.103, 0.112), 0.038, 0.15, friction, socket=0.024)
    lid = Lid('lid', radius - cup.wall - play / 2.0, 0.021, radius, 0.06, friction)
    width = rng.uniform(0.026, 0.032) if shifted else rng.uniform(0.028, 0.030)
    glass = Vessel('glass', width, rng.uniform(0.150, 0.156), 0.040, 0.15, friction)
    return cup, lid, glass


def _bottles(
    rng: np.random.Generator, friction: float, *, shifted: bool,
) -> dict[str, Item]:
    colours = rng.choice(sorted(COLOURS), size=3, replace=False)
    low, high = (0.026, 0.034) if shifted else (0.028, 0.032)
    return {
        f'bottle{i}': Item(
            name=f'bottle{i}', kind='bottle', colour=str(colour), radius=rng.uniform(low, high),
            height=rng.uniform(0.142, 0.158), mass=rng.uniform(0.15, 0.30), friction=friction)
        for i, colour in enumerate(colours)}


def _homes(
    rng: np.random.Generator, names: Sequence[str], sign: float, board: float,
) -> dict[str, Array]:
    """Draw places on the shelf, (3,) m; the last name's is on the taker's side."""
    slots = [(side, y) for side in (1.0, -1.0) for y in _SLOTS]
    last = slots.pop(2 + int(rng.integers(2)))
    order = [slots[i] for i in rng.permutation(len(slots))]
    return {
        name: np.array([_SHELF_X + rng.uniform(-0.008, 0.008),
                        sign * side * y + rng.uniform(-0.005, 0.005), board])
        for name, (side, y) in zip(names, [*order, last])}


def _mark(
    spec: mujoco.MjSpec, name: str, spot: Array, counter: float, radius: float,
    rgba: tuple[float, float, float, float],
) -> None:
    """Add a flat mark that nothing touches."""
    spec.worldbody.add_geom(
        name=name, type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=(radius, 0.0005, 0),
        pos=(spot[0], spot[1], counter + 0.0005), rgba=rgba, contype=0, conaffinity=0)
