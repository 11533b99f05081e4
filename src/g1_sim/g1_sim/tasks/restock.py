# SPDX-License-Identifier: Apache-2.0
"""Restock a flat shelf: put the item that the instruction names on the shelf it names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from g1_description.joints import HOME
from g1_sim.errors import SceneError
from g1_sim.items import COLOURS, KINDS, Item, add_item, grasp_yaw
from g1_sim.postures import LIFT, PITCH, READY_LEFT, inward, mirrored
from g1_sim.scene import Distribution, Scene, add_fixture, room
from g1_sim.tasks.base import Judge, Terminal, Verdict
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

_HEAD_PITCH = 0.50
# The front and back edges of the boards, x in m.
_SHELF = (0.90, 1.14)
_WOOD = (0.72, 0.56, 0.38, 1.0)
_METAL = (0.70, 0.72, 0.75, 1.0)
_SETTLED_STEPS = 8
_DRAWS = 500
# An open hand, with room to spare, m.
_HAND_WIDTH = 0.17


class Restock:
    """One item from the counter to a board of the shelf behind it; scored 0 or 1."""

    name = 'restock'
    time_limit = 15.0
    subtasks: Sequence[str] = ('placed',)

    def scene(self, seed: int, distribution: Distribution = 'train') -> Scene:
        """Draw a scene: 2 or 3 items, one of them and a level named."""
        shifted = distribution == 'deploy'
        rng = np.random.default_rng([seed, 1 if shifted else 0])
        counter = rng.uniform(0.675, 0.705) + (rng.choice([-0.02, 0.02]) if shifted else 0.0)
        lower = rng.uniform(0.855, 0.875)
        upper = lower + rng.uniform(0.19, 0.21)
        spec = room(light=rng.uniform(0.5, 0.8) if shifted else rng.uniform(0.85, 1.15))
        top = add_fixture(spec, 'counter', (0.63, 0, counter - 0.02), (0.19, 0.55, 0.02), _WOOD)
        for y in (-0.5, 0.5):
            add_fixture(spec, f'leg{y:+}', (0.63, y, counter / 2 - 0.02),
                        (0.15, 0.02, counter / 2 - 0.02), _METAL)
        boards = (lower, upper)
        middle, half = sum(_SHELF) / 2, (_SHELF[1] - _SHELF[0]) / 2
        for board, height in zip(LEVELS, boards):
            add_fixture(spec, f'shelf_{board}', (middle, 0, height - 0.01), (half, 0.45, 0.01),
                        _WOOD)
        for y in (-0.46, 0.46):
            add_fixture(spec, f'side{y:+}', (middle, y, (upper + 0.30) / 2),
                        (half, 0.01, (upper + 0.30) / 2), _METAL)
        items, placements = _items(rng, counter, shifted=shifted)
        for item in items:
            add_item(spec, item)
        target = items[int(rng.integers(len(items)))]
        level = int(rng.integers(len(LEVELS)))
        phrase = PHRASES[int(rng.integers(len(PHRASES)))]
        return Scene(
            task=self.name, distribution=distribution, seed=seed,
            instruction=phrase.format(item=target.label, level=LEVELS[level]),
            spec=spec,
            posture=np.concatenate([_ready(), [0.0, _HEAD_PITCH, LIFT, PITCH]]),
            placements=placements, keep_out=(top,),
            facts={'items': {item.name: item for item in items}, 'target': target.name,
                   'board': boards[level], 'counter': counter, 'shelf_x': _SHELF})

    def judge(self, world: World) -> Judge:
        """Return the judge of an episode."""
        return RestockJudge(world, self.time_limit)


def _ready() -> Array:
    ready = HOME.copy()
    ready[:7] = READY_LEFT
    ready[8:15] = mirrored(READY_LEFT)
    return ready


def _items(
    rng: np.random.Generator, counter: float, *, shifted: bool,
) -> tuple[tuple[Item, ...], dict[str, tuple[Array, Array]]]:
    """Draw items of different looks and where they stand, each within reach of a hand."""
    looks = [(kind, colour) for kind in KINDS for colour in COLOURS]
    count = int(rng.integers(2, 4))
    chosen = rng.choice(len(looks), size=count, replace=False)
    items = []
    for i, look in enumerate(chosen):
        kind, colour = looks[int(look)]
        low, high = (0.026, 0.036) if shifted else (0.029, 0.034)
        items.append(Item(
            name=f'item{i}', kind=kind, colour=colour, radius=rng.uniform(low, high),
            height=rng.uniform(0.10, 0.13), mass=rng.uniform(0.15, 0.35),
            friction=rng.uniform(0.4, 0.6) if shifted else rng.uniform(0.7, 0.9)))
    for _ in range(_DRAWS):
        spots = np.column_stack([
            rng.uniform(0.565, 0.685, count), rng.uniform(-0.26, 0.26, count)])
        # Cartons stand so that a hand can take them squarely.
        yaws = np.array([inward(x, y, _side(y)) for x, y in spots])
        yaws += rng.uniform(-0.12, 0.12, count)
        if _reachable(items, spots, yaws):
            break
    else:
        raise SceneError(f'no room for {count} items on the counter in {_DRAWS} draws')
    placements = {
        item.name: (np.array([x, y, counter + 0.001]),
                    np.array([np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)]))
        for item, (x, y), yaw in zip(items, spots, yaws)}
    return tuple(items), placements


def _side(y: float) -> int:
    return 0 if y > 0.0 else 1


def _reachable(items: Sequence[Item], spots: Array, yaws: Array) -> bool:
    """Whether a hand can come to every item without touching another."""
    if np.any(np.abs(spots[:, 1]) < 0.05):
        return False
    for i, item in enumerate(items):
        x, y = spots[i]
        angle = grasp_yaw(item, float(yaws[i]), inward(x, y, _side(y)))
        ahead = np.array([np.cos(angle), np.sin(angle)])
        for j in range(len(items)):
            if i == j:
                continue
            apart = spots[j] - spots[i]
            along = float(apart @ ahead)
            across = abs(float(apart[0] * ahead[1] - apart[1] * ahead[0]))
            if -0.35 < along < 0.08 and across < _HAND_WIDTH / 2 + 1.4 * items[j].radius:
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
