# SPDX-License-Identifier: Apache-2.0
"""Put an item into a freezer: open its door by the bar, place the item, close the door."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from g1_sim.items import Item, ItemSpan, Kind, add_item, draw_looks
from g1_sim.parts.counter import METAL, add_counter, standing, start_posture
from g1_sim.parts.door import Door, add_door
from g1_sim.postures import inward
from g1_sim.scene import Distribution, Phrasing, Scene, add_fixture, draw_room
from g1_sim.tasks.base import Judge, Phrases
from g1_sim.tasks.stages import Stage, StagedJudge
from g1_sim.world import World

Array = NDArray[np.float64]

PHRASES = (
    'put the {item} in the freezer and close the door',
    'open the freezer, put the {item} inside and close it',
    'place the {item} in the freezer, then shut its door',
    'store the {item} in the freezer with the door closed',
)
HELD_OUT_PHRASES = (
    'the {item} must stay frozen: put it away in the freezer and shut it',
    'freeze the {item}, and do not leave the freezer open',
)
CLOSED = np.deg2rad(3.0)
"""Below this angle the door counts as closed, rad."""

_KEY = 4201
_HEAD_PITCH = 0.42
# The freezer's front, m in base_link, how deep it is and how thick its walls are.
_FRONT, _DEPTH, _WALL = 0.872, 0.24, 0.012
_KINDS: tuple[Kind, ...] = ('carton', 'can')
_TRAIN = ItemSpan((0.028, 0.032), (0.09, 0.12), (0.7, 0.9))
_DEPLOY = ItemSpan((0.026, 0.034), (0.09, 0.12), (0.4, 0.6))
# Where items stand, m to the side of the placing hand: one in front, one beside it farther out.
_SPOTS = (((0.565, 0.595), (0.06, 0.10)), ((0.655, 0.685), (0.19, 0.25)))


class Freezer:
    """One item from the counter into a freezer with a hinged door; scored 0 or 1."""

    name = 'freezer'
    time_limit = 25.0
    subtasks: Sequence[str] = ('stored',)
    phrases = Phrases(PHRASES, HELD_OUT_PHRASES)

    def scene(
        self, seed: int, distribution: Distribution = 'train', phrasing: Phrasing = 'train',
    ) -> Scene:
        """Draw a scene: a freezer hinged left or right, two items, one of them named."""
        shifted = distribution == 'deploy'
        rng = np.random.default_rng([seed, 1 if shifted else 0, _KEY])
        counter = rng.uniform(0.675, 0.705) + (rng.choice([-0.02, 0.02]) if shifted else 0.0)
        spec = draw_room(rng, shifted=shifted)
        top = add_counter(spec, counter)
        door = _draw_door(rng, shifted=shifted)
        inside = _add_cabinet(spec, door)
        shade = rng.uniform(0.75, 0.95)
        add_door(spec, door, (shade, shade, min(1.0, shade + 0.05), 1.0))
        items, placements = _items(rng, counter, 1 - door.side, shifted=shifted)
        for item in items:
            add_item(spec, item)
        target = items[int(rng.integers(len(items)))]
        phrase = self.phrases.draw(rng, phrasing)
        return Scene(
            task=self.name, distribution=distribution, seed=seed,
            instruction=phrase.format(item=target.label), spec=spec,
            posture=start_posture(head=_HEAD_PITCH),
            placements=placements, keep_out=(top,),
            facts={'items': {item.name: item for item in items}, 'target': target.name,
                   'door': door, 'inside': inside, 'counter': counter})

    def judge(self, world: World) -> Judge:
        """Return the judge of an episode."""
        return StagedJudge(
            world, (Stage('stored', lambda w: float(stored(w) and closed(w))),),
            time_limit=self.time_limit, lost=_lost)


def _draw_door(rng: np.random.Generator, *, shifted: bool) -> Door:
    side = int(rng.integers(2))
    width, height = rng.uniform(0.31, 0.33), 0.27
    floor = rng.uniform(0.875, 0.890) if shifted else rng.uniform(0.865, 0.880)
    y = (1.0 if side == 0 else -1.0) * rng.uniform(0.165, 0.195)
    friction = rng.uniform(0.6, 1.0) if shifted else rng.uniform(0.2, 0.6)
    return Door(
        name='door', hinge=(_FRONT - 0.002, y, floor + height / 2 - 0.012), side=side,
        width=width, height=height, grip=width - rng.uniform(0.04, 0.05),
        standoff=rng.uniform(0.062, 0.067) if shifted else rng.uniform(0.067, 0.072),
        mass=rng.uniform(1.2, 2.0), friction=friction)


def _add_cabinet(spec: mujoco.MjSpec, door: Door) -> tuple[Array, Array]:
    """Add the freezer behind a door; returns the corners, (3,) m, of the room inside."""
    x0, x1 = _FRONT, _FRONT + _DEPTH
    y0, y1 = sorted((door.hinge[1], door.hinge[1] - door.sign * door.width))
    z0, z1 = door.hinge[2] - door.height / 2, door.hinge[2] + door.height / 2
    white = (0.90, 0.92, 0.95, 1.0)
    inner = np.array([x0, y0 + _WALL, z0 + _WALL]), np.array([x1 - _WALL, y1 - _WALL, z1 - _WALL])
    for name, low, high in (
            ('plinth', (x0 + 0.03, y0, 0.0), (x1, y1, z0 - 0.002)),
            ('floor', (x0, y0, z0), (x1, y1, z0 + _WALL)),
            ('roof', (x0, y0, z1 - _WALL), (x1, y1, z1)),
            ('right', (x0, y0, z0), (x1, y0 + _WALL, z1)),
            ('left', (x0, y1 - _WALL, z0), (x1, y1, z1)),
            ('back', (x1 - _WALL, y0, z0), (x1, y1, z1))):
        lower, upper = np.array(low), np.array(high)
        add_fixture(spec, f'freezer_{name}', tuple((lower + upper) / 2),
                    tuple((upper - lower) / 2), METAL if name == 'plinth' else white)
    return inner


def _items(
    rng: np.random.Generator, counter: float, side: int, *, shifted: bool,
) -> tuple[tuple[Item, ...], dict[str, tuple[Array, Array]]]:
    """Draw two items of different looks on the side of the hand that places."""
    sign = 1.0 if side == 0 else -1.0
    span = _DEPLOY if shifted else _TRAIN
    items, placements = [], {}
    looks = draw_looks(rng, len(_SPOTS), kinds=_KINDS)
    for i, ((xs, ys), look) in enumerate(zip(_SPOTS, looks)):
        item = span.draw(rng, f'item{i}', look)
        x, y = rng.uniform(*xs), sign * rng.uniform(*ys)
        # Cartons stand so that a hand can take them squarely.
        yaw = inward(x, y, side) + rng.uniform(-0.12, 0.12)
        items.append(item)
        placements[item.name] = standing(x, y, counter, yaw)
    return tuple(items), placements


def stored(world: World) -> bool:
    """Whether the named item is in the freezer, at rest and let go of."""
    facts = world.scene.facts
    target = facts['target']
    low, high = facts['inside']
    half = facts['items'][target].height / 2 * world.body_rotation(target)[:, 2]
    middle = world.body_position(target) + half
    return bool(
        np.all(middle > low) and np.all(middle < high)
        and world.resting(target) and not world.touched_by_robot(target))


def closed(world: World) -> bool:
    """Whether the freezer's door is closed and stands still."""
    return world.joint_position('door') < CLOSED and abs(world.joint_velocity('door')) < 0.05


def _lost(world: World) -> str:
    dropped = world.body_position(world.scene.facts['target'])[2] < 0.3
    return 'the item fell to the floor' if dropped else ''
