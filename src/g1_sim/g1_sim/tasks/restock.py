# SPDX-License-Identifier: Apache-2.0
"""Restock a flat shelf: put the item that the instruction names on the shelf it names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from g1_sim.errors import SceneError
from g1_sim.items import Item, ItemSpan, add_item, draw_looks, grasp_yaw
from g1_sim.parts.counter import (
    REACH_X,
    REACH_Y,
    add_counter,
    approach_clear,
    side_of,
    standing,
    start_posture,
)
from g1_sim.parts.shelf import SHELF_X, add_shelf
from g1_sim.postures import inward
from g1_sim.scene import Distribution, Phrasing, Scene, draw_room
from g1_sim.tasks.base import Judge, Phrases, Terminal, Verdict
from g1_sim.world import World

Array = NDArray[np.float64]

LEVELS = ('lower', 'upper')
PHRASES = (
    'put the {item} on the {level} shelf',
    'place the {item} on the {level} shelf',
    'restock the {level} shelf with the {item}',
    'take the {item} from the counter and set it on the {level} shelf',
)
HELD_OUT_PHRASES = (
    'the {item} belongs on the {level} shelf, please put it there',
    'move the {item} up to the {level} shelf',
)

_TRAIN = ItemSpan((0.029, 0.034), (0.10, 0.13), (0.7, 0.9))
_DEPLOY = ItemSpan((0.026, 0.036), (0.10, 0.13), (0.4, 0.6))
_SETTLED_STEPS = 8
_DRAWS = 20_000


class Restock:
    """One item from the counter to a board of the shelf behind it; scored 0 or 1."""

    name = 'restock'
    time_limit = 15.0
    subtasks: Sequence[str] = ('placed',)
    phrases = Phrases(PHRASES, HELD_OUT_PHRASES)

    def scene(
        self, seed: int, distribution: Distribution = 'train', phrasing: Phrasing = 'train',
    ) -> Scene:
        """Draw a scene: 2 or 3 items, one of them and a level named."""
        shifted = distribution == 'deploy'
        rng = np.random.default_rng([seed, 1 if shifted else 0])
        counter = rng.uniform(0.675, 0.705) + (rng.choice([-0.02, 0.02]) if shifted else 0.0)
        lower = rng.uniform(0.855, 0.875)
        upper = lower + rng.uniform(0.19, 0.21)
        spec = draw_room(rng, shifted=shifted)
        top = add_counter(spec, counter)
        boards = (lower, upper)
        add_shelf(spec, boards)
        items, placements = _items(rng, counter, shifted=shifted)
        for item in items:
            add_item(spec, item)
        target = items[int(rng.integers(len(items)))]
        level = int(rng.integers(len(LEVELS)))
        phrase = self.phrases.draw(rng, phrasing)
        return Scene(
            task=self.name, distribution=distribution, seed=seed,
            instruction=phrase.format(item=target.label, level=LEVELS[level]),
            spec=spec,
            posture=start_posture(),
            placements=placements, keep_out=(top,),
            facts={'items': {item.name: item for item in items}, 'target': target.name,
                   'board': boards[level], 'counter': counter, 'shelf_x': SHELF_X})

    def judge(self, world: World) -> Judge:
        """Return the judge of an episode."""
        return RestockJudge(world, self.time_limit)


def _items(
    rng: np.random.Generator, counter: float, *, shifted: bool,
) -> tuple[tuple[Item, ...], dict[str, tuple[Array, Array]]]:
    """Draw items of different looks and where they stand, each within reach of a hand."""
    count = int(rng.integers(2, 4))
    span = _DEPLOY if shifted else _TRAIN
    items = [span.draw(rng, f'item{i}', look) for i, look in enumerate(draw_looks(rng, count))]
    for _ in range(_DRAWS):
        spots = np.column_stack([
            rng.uniform(*REACH_X, count), rng.uniform(-REACH_Y[1], REACH_Y[1], count)])
        # Cartons stand so that a hand can take them squarely.
        yaws = np.array([inward(x, y, side_of(y)) for x, y in spots])
        yaws += rng.uniform(-0.12, 0.12, count)
        if _reachable(items, spots, yaws):
            break
    else:
        raise SceneError(f'no room for {count} items on the counter in {_DRAWS} draws')
    placements = {
        item.name: standing(x, y, counter, yaw)
        for item, (x, y), yaw in zip(items, spots, yaws)}
    return tuple(items), placements


def _reachable(items: Sequence[Item], spots: Array, yaws: Array) -> bool:
    """Whether a hand can come to every item without touching another."""
    if np.any(np.abs(spots[:, 1]) < REACH_Y[0]):
        return False
    for i, item in enumerate(items):
        x, y = spots[i]
        angle = grasp_yaw(item, float(yaws[i]), inward(x, y, side_of(y)))
        others = [(spots[j], 1.4 * items[j].radius) for j in range(len(items)) if j != i]
        if not approach_clear(spots[i], angle, others):
            return False
    return True


class RestockJudge:
    """Success: the named item stands free on the named board, at rest, let go of."""

    def __init__(self, world: World, time_limit: float) -> None:
        """Watch a world of Restock from its start."""
        self._world = world
        self._limit = time_limit
        self._still = 0

    def update(self) -> Verdict:
        """Return the verdict on the world as it is now."""
        self._still = self._still + 1 if self._stands() else 0
        if self._still >= _SETTLED_STEPS:
            return Verdict(Terminal.SUCCESS, 1.0, (1.0,), 'the item stands on its shelf')
        facts, world = self._world.scene.facts, self._world
        dropped = [
            name for name in facts['items'] if world.body_position(name)[2] < 0.3]
        if facts['target'] in dropped:
            return Verdict(Terminal.FAILURE, 0.0, (0.0,), 'the item fell to the floor')
        if world.time >= self._limit - 1e-6:
            return Verdict(Terminal.TIMEOUT, 0.0, (0.0,), f'not done after {self._limit:g} s')
        return Verdict(Terminal.NONE, 0.0, (0.0,))

    def _stands(self) -> bool:
        world, facts = self._world, self._world.scene.facts
        target = facts['target']
        x, _, z = world.body_position(target)
        low, high = facts['shelf_x']
        upright = world.body_rotation(target)[2, 2]
        radius = facts['items'][target].radius
        return bool(
            low <= x <= high and abs(z - facts['board']) < max(0.02, radius * (1.0 - upright))
            and upright > 0.9 and world.resting(target) and not world.touched_by_robot(target))

    def memory(self) -> Array:
        """Return how long the item has been standing, steps."""
        return np.array([float(self._still)])

    def recall(self, memory: Array) -> None:
        """Take back what `memory` returned."""
        self._still = int(memory[0])
