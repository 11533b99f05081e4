# SPDX-License-Identifier: Apache-2.0
"""Put a misplaced item back on the shelf with its own kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import mujoco
import numpy as np
from numpy.typing import NDArray

from g1_sim.items import Item, ItemSpan, add_item, draw_looks
from g1_sim.parts.counter import (
    REACH_X,
    REACH_Y,
    add_counter,
    add_mark,
    standing,
    start_posture,
)
from g1_sim.parts.shelf import SHELF_X, add_shelf
from g1_sim.postures import at_shelf, inward
from g1_sim.scene import Distribution, Phrasing, Scene, draw_room
from g1_sim.tasks.base import Judge, Phrases
from g1_sim.tasks.stages import Stage, StagedJudge
from g1_sim.world import World

Array = NDArray[np.float64]
Placement = tuple[Array, Array]

PHRASES = (
    'put the misplaced {item} back with its kind',
    'the {item} is in the wrong place, put it back where it belongs',
    'return the misplaced {item} to its place on the shelf',
    'move the {item} that is in the wrong place back to its own kind',
)
HELD_OUT_PHRASES = (
    'one {item} is not where it should be, please put it right',
    'sort the stray {item} back in with the others like it',
)

_SEED = 4101
# Where an item is put, m behind the front edge; those of its kind stand in a row behind.
_FRONT, _ROW = 0.045, 0.17
# A bay: its middle and half its width, m to a side; where in it a hand reaches well.
_MIDDLE, _HALF = 0.17, 0.13
_PLACE = (0.11, 0.23)
_UPRIGHT = 0.9
_TRAIN = ItemSpan((0.029, 0.034), (0.10, 0.13), (0.7, 0.9))
_DEPLOY = ItemSpan((0.026, 0.036), (0.10, 0.13), (0.4, 0.6))


@dataclass(frozen=True)
class Bay:
    """A marked part of a board, where the items of one kind belong; m, base_link."""

    side: int
    """0 left, 1 right."""
    height: float
    """Of the board's top."""
    x: tuple[float, float]
    y: tuple[float, float]

    def spot(self, y: float) -> Array:
        """Return the spot, (3,), at its front that is nearest to a y."""
        low, high = _PLACE if self.side == 0 else (-_PLACE[1], -_PLACE[0])
        return np.array([self.x[0] + _FRONT, np.clip(y, low, high), self.height])

    def holds(self, world: World, name: str) -> bool:
        """Whether an item stands in it."""
        x, y, z = world.body_position(name)
        return bool(
            self.x[0] <= x <= self.x[1] and self.y[0] <= y <= self.y[1]
            and abs(z - self.height) < 0.02 and world.body_rotation(name)[2, 2] > _UPRIGHT)


class Correct:
    """One item from a wrong bay or the counter into the bay of its kind; scored 0 or 1."""

    name = 'correct'
    time_limit = 18.0
    subtasks: Sequence[str] = ('corrected',)
    phrases = Phrases(PHRASES, HELD_OUT_PHRASES)

    def scene(
        self, seed: int, distribution: Distribution = 'train', phrasing: Phrasing = 'train',
    ) -> Scene:
        """Draw a scene: groups of like items on the shelf, one item astray."""
        shifted = distribution == 'deploy'
        rng = np.random.default_rng([seed, 1 if shifted else 0, _SEED])
        counter = rng.uniform(0.675, 0.705) + (rng.choice([-0.02, 0.02]) if shifted else 0.0)
        lower = rng.uniform(0.845, 0.855) if shifted else rng.uniform(0.855, 0.875)
        upper = lower + (rng.uniform(0.215, 0.23) if shifted else rng.uniform(0.19, 0.21))
        spec = draw_room(rng, shifted=shifted)
        top = add_counter(spec, counter)
        side = int(rng.integers(2))
        level = int(rng.integers(2))
        bays = _shelf(spec, rng, (lower, upper))
        # Its own bay and the other one on the same side are in use, so that one hand can do it.
        used = [bays[side][level], bays[side][1 - level]]
        if rng.uniform() < 0.7:
            used.append(bays[1 - side][int(rng.integers(2))])
        items, own, placements = _groups(rng, used, shifted=shifted)
        stray = items[0]
        sign = 1.0 if side == 0 else -1.0
        if rng.uniform() < 0.6:
            x, y, height = used[1].spot(sign * rng.uniform(*_PLACE))
            yaw = at_shelf(y, height, side) + rng.uniform(-0.06, 0.06)
        else:
            x, y, height = rng.uniform(*REACH_X), sign * rng.uniform(*REACH_Y), counter
            yaw = inward(x, y, side) + rng.uniform(-0.12, 0.12)
        placements[stray.name] = standing(x, y, height, yaw)
        for item in items:
            add_item(spec, item)
        phrase = self.phrases.draw(rng, phrasing)
        return Scene(
            task=self.name, distribution=distribution, seed=seed,
            instruction=phrase.format(item=stray.label), spec=spec, posture=start_posture(),
            placements=placements, keep_out=(top,),
            facts={'items': {item.name: item for item in items}, 'target': stray.name,
                   'bays': own, 'wrong_bay': used[1], 'counter': counter, 'shelf_x': SHELF_X})

    def judge(self, world: World) -> Judge:
        """Return the judge of an episode."""
        return StagedJudge(
            world, [Stage('corrected', _corrected)], time_limit=self.time_limit, lost=_lost)


def _shelf(
    spec: mujoco.MjSpec, rng: np.random.Generator, heights: tuple[float, float],
) -> tuple[tuple[Bay, ...], tuple[Bay, ...]]:
    """Add a shelf of two boards; returns the left and the right bays, lower and upper."""
    add_shelf(spec, heights)
    middle, half = sum(SHELF_X) / 2, (SHELF_X[1] - SHELF_X[0]) / 2
    bays: tuple[list[Bay], list[Bay]] = ([], [])
    for side, sign in enumerate((1.0, -1.0)):
        for i, height in enumerate(heights):
            edges = sorted((sign * (_MIDDLE - _HALF), sign * (_MIDDLE + _HALF)))
            bays[side].append(Bay(side, height, SHELF_X, (edges[0], edges[1])))
            add_mark(spec, f'mat{side}{i}', (middle, sign * _MIDDLE, height), (half, _HALF),
                     (*rng.uniform(0.25, 0.85, 3), 1.0))
    return tuple(bays[0]), tuple(bays[1])


def _groups(
    rng: np.random.Generator, bays: Sequence[Bay], *, shifted: bool,
) -> tuple[list[Item], dict[str, Bay], dict[str, Placement]]:
    """Draw a kind for every bay and two of it at its back; the first item is a third of the first.

    Returns the items, the bay in which each belongs, and where the others stand.
    """
    span = _DEPLOY if shifted else _TRAIN
    items: list[Item] = []
    own: dict[str, Bay] = {}
    placements: dict[str, Placement] = {}
    for group, (bay, look) in enumerate(zip(bays, draw_looks(rng, len(bays)))):
        like = span.draw(rng, 'stray', look)
        middle = sum(bay.y) / 2
        if group == 0:
            items.append(like)
            own[like.name] = bay
        for i, y in enumerate((middle - 0.055, middle + 0.055)):
            item = replace(like, name=f'item{group}{i}')
            items.append(item)
            own[item.name] = bay
            placements[item.name] = standing(
                bay.x[0] + _ROW + rng.uniform(-0.008, 0.008), y + rng.uniform(-0.01, 0.01),
                bay.height, rng.uniform(-0.15, 0.15))
    return items, own, placements


def _corrected(world: World) -> float:
    """1 when every item stands in its own bay and the stray one is at rest and let go of."""
    facts = world.scene.facts
    target = facts['target']
    in_place = all(bay.holds(world, name) for name, bay in facts['bays'].items())
    return 1.0 if (in_place and world.resting(target)
                   and not world.touched_by_robot(target)) else 0.0


def _lost(world: World) -> str:
    """Say which item lies on the floor: then not all can be in their places any more."""
    for name, item in world.scene.facts['items'].items():
        if world.body_position(name)[2] < 0.3:
            return f'the {item.label} fell to the floor'
    return ''


