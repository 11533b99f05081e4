# SPDX-License-Identifier: Apache-2.0
"""Mix a cocktail: two named bottles into a shaker, lid, shake, pour, hand the glass over."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from g1_sim.items import Item, ItemSpan, add_item, draw_looks
from g1_sim.parts.counter import METAL, Layout, add_counter, add_mark, start_posture
from g1_sim.parts.lid import Lid, add_lid
from g1_sim.parts.shelf import add_shelf
from g1_sim.parts.vessel import Vessel, add_vessel
from g1_sim.scene import Distribution, Phrasing, Scene, draw_room
from g1_sim.tasks.base import Judge, Phrases
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
_SHELF_X = 0.945
_SLOTS = (0.085, 0.262)
_WOOD = (0.45, 0.30, 0.20, 1.0)
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
    phrases = Phrases(PHRASES, HELD_OUT_PHRASES)

    def scene(
        self, seed: int, distribution: Distribution = 'train', phrasing: Phrasing = 'train',
    ) -> Scene:
        """Draw a scene: which side the glass is on, three bottles, an order of two of them."""
        shifted = distribution == 'deploy'
        rng = np.random.default_rng([seed, 1 if shifted else 0, _SEED])
        counter = rng.uniform(0.68, 0.70) + (rng.choice([-0.015, 0.015]) if shifted else 0.0)
        board = rng.uniform(0.855, 0.875)
        spec = draw_room(rng, shifted=shifted)
        top = add_counter(spec, counter, rgba=_WOOD)
        add_shelf(spec, (board,), above=0.0, rgba=_WOOD)
        layout = Layout(int(rng.integers(2)), counter)
        friction = rng.uniform(0.4, 0.6) if shifted else rng.uniform(0.7, 0.9)
        cup, lid, glass = _vessels(rng, friction, shifted=shifted)
        bottles = _bottles(rng, friction, shifted=shifted)
        spots = {
            name: layout.spot(x, y) + np.array([*rng.uniform(-0.012, 0.012, 2), 0.0])
            for name, x, y in (('work', 0.615, 0.0), ('coaster', 0.66, 0.14),
                               (cup.name, 0.575, 0.25), (glass.name, 0.68, -0.265))}
        homes = _homes(rng, [*bottles, lid.name], layout, board)
        homes.update((name, spots[name]) for name in (cup.name, glass.name))
        for bottle in bottles.values():
            add_item(spec, bottle)
        add_vessel(spec, cup)
        add_lid(spec, lid)
        add_vessel(spec, glass)
        add_mark(spec, 'coaster', spots['coaster'], 0.05, _FELT)
        add_mark(spec, 'work', spots['work'], 0.045, (0.85, 0.83, 0.75, 1.0))
        first, second = (bottles[str(name)] for name in
                         rng.choice(sorted(bottles), size=2, replace=False))
        phrase = self.phrases.draw(rng, phrasing)
        return Scene(
            task=self.name, distribution=distribution, seed=seed,
            instruction=phrase.format(first=first.colour, second=second.colour), spec=spec,
            posture=start_posture(),
            placements={name: (home + np.array([0, 0, 0.001]), np.array([1.0, 0, 0, 0]))
                        for name, home in homes.items()},
            keep_out=(top,),
            facts={'bottles': bottles, 'order': (first.name, second.name), 'cup': cup,
                   'lid': lid, 'glass': glass, 'homes': homes, 'work': spots['work'],
                   'coaster': spots['coaster'], 'layout': layout, 'counter': counter,
                   'board': board, 'friction': friction})

    def judge(self, world: World) -> Judge:
        """Return the judge of an episode."""
        return cocktail_judge(world, self.subtasks, self.time_limit)


def _vessels(
    rng: np.random.Generator, friction: float, *, shifted: bool,
) -> tuple[Vessel, Lid, Vessel]:
    """Draw the shaker's cup, its lid, which has 2 to 4 mm play in it, and the glass."""
    radius = rng.uniform(0.0265, 0.031) if shifted else rng.uniform(0.028, 0.030)
    play = rng.uniform(0.002, 0.003) if shifted else rng.uniform(0.003, 0.004)
    cup = Vessel('cup', radius, rng.uniform(0.103, 0.112), 0.045, 0.15, _STEEL, friction,
                 socket=0.024)
    lid = Lid('lid', radius - cup.wall - play / 2.0, 0.021, radius, 0.06,
              _FELT if shifted else METAL, friction)
    width = rng.uniform(0.026, 0.032) if shifted else rng.uniform(0.028, 0.030)
    glass = Vessel('glass', width, rng.uniform(0.142, 0.148), 0.040, 0.15, _GLASS, friction)
    return cup, lid, glass


def _bottles(
    rng: np.random.Generator, friction: float, *, shifted: bool,
) -> dict[str, Item]:
    span = ItemSpan((0.026, 0.034) if shifted else (0.028, 0.032), (0.142, 0.158),
                    (friction, friction), (0.15, 0.30))
    looks = draw_looks(rng, 3, kinds=('bottle',))
    return {f'bottle{i}': span.draw(rng, f'bottle{i}', look) for i, look in enumerate(looks)}


def _homes(
    rng: np.random.Generator, names: Sequence[str], layout: Layout, board: float,
) -> dict[str, Array]:
    """Draw places on the shelf, (3,) m; the last name's is on the leading hand's side."""
    slots = [(side, y) for side in (1.0, -1.0) for y in _SLOTS]
    last = slots.pop(int(rng.integers(2)))
    order = [slots[i] for i in rng.permutation(len(slots))]
    return {
        name: np.array([_SHELF_X + rng.uniform(-0.008, 0.008),
                        layout.sign * side * y + rng.uniform(-0.005, 0.005), board])
        for name, (side, y) in zip(names, [*order, last])}
