# SPDX-License-Identifier: Apache-2.0
"""Put a carton from the counter into an open cooler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from g1_sim.errors import SceneError
from g1_sim.items import (
    COLOURS,
    Item,
    ItemSpan,
    Look,
    Span,
    add_item,
    draw_looks,
    grasp_yaw,
)
from g1_sim.parts.container import OpenBox, add_open_box, floor_above
from g1_sim.parts.counter import (
    add_counter,
    approach_clear,
    side_of,
    standing,
    start_posture,
)
from g1_sim.postures import STEEP_LIFT, STEEP_PITCH, STEEP_READY_LEFT, steep
from g1_sim.scene import Distribution, Phrasing, Scene, draw_room
from g1_sim.tasks.base import Judge, Phrases
from g1_sim.tasks.stages import Stage, StagedJudge
from g1_sim.world import World

Array = NDArray[np.float64]
Spots = tuple[Array, Array]

PHRASES = (
    'put the {item} in the cooler',
    'place the {item} into the cooler',
    'the {item} goes into the cooler',
    'take the {item} from the counter and put it in the cooler',
)
HELD_OUT_PHRASES = (
    'the {item} must stay cold, please put it away',
    'pack the {item} into the cooler',
)

_SEED = 4102
_DRAWS = 5000
# The counter stands a little off, since the waist bows the more, the better the head sees it.
_COUNTER_X = 0.72
# Where on it the middle of the cooler, the carton and the other items may be, m; y to either side.
_COOLER_X, _COOLER_Y = (0.73, 0.79), (0.0, 0.34)
_CARTON_X, _CARTON_Y = (0.66, 0.77), (0.05, 0.26)
_OTHERS_X, _OTHERS_Y, _OTHERS_HEIGHT = (0.62, 0.83), 0.42, (0.10, 0.13)
_GAP = 0.015
# So much of a hand that points down passes below the rim, m from its TCP.
_LOW_HAND = 0.12


@dataclass(frozen=True)
class _Span:
    """What a distribution draws from, m: the cooler's walls, then items."""

    half: Span
    depth: Span
    item: ItemSpan
    """The carton; other items are of the same width and friction."""


_TRAIN = _Span((0.085, 0.105), (0.065, 0.085),
               ItemSpan((0.029, 0.034), (0.125, 0.145), (0.7, 0.9)))
_DEPLOY = _Span((0.075, 0.09), (0.08, 0.10),
                ItemSpan((0.026, 0.036), (0.12, 0.155), (0.4, 0.6)))


class Cooler:
    """One carton over the rim of an open box; scored 0 or 1."""

    name = 'cooler'
    time_limit = 15.0
    subtasks: Sequence[str] = ('stowed',)
    phrases = Phrases(PHRASES, HELD_OUT_PHRASES)

    def scene(
        self, seed: int, distribution: Distribution = 'train', phrasing: Phrasing = 'train',
    ) -> Scene:
        """Draw a scene: a cooler, a carton to put into it, one or two other items."""
        shifted = distribution == 'deploy'
        span = _DEPLOY if shifted else _TRAIN
        rng = np.random.default_rng([seed, 1 if shifted else 0, _SEED])
        counter = rng.uniform(0.675, 0.705) + (rng.choice([-0.02, 0.02]) if shifted else 0.0)
        spec = draw_room(rng, shifted=shifted)
        top = add_counter(spec, counter, x=_COUNTER_X)
        items = _items(rng, span)
        box, (spots, yaws) = _arrange(rng, items, counter, span)
        add_open_box(spec, 'cooler', box, (*rng.uniform(0.15, 0.9, 3), 1.0))
        for item in items:
            add_item(spec, item)
        carton = items[0]
        phrase = self.phrases.draw(rng, phrasing)
        return Scene(
            task=self.name, distribution=distribution, seed=seed,
            instruction=phrase.format(item=carton.label), spec=spec,
            posture=start_posture(STEEP_READY_LEFT, STEEP_LIFT, STEEP_PITCH),
            placements={item.name: standing(x, y, counter, yaw)
                        for item, (x, y), yaw in zip(items, spots, yaws)},
            keep_out=(top,),
            facts={'items': {item.name: item for item in items}, 'target': carton.name,
                   'cooler': box, 'counter': counter})

    def judge(self, world: World) -> Judge:
        """Return the judge of an episode."""
        return StagedJudge(
            world, [Stage('stowed', _stowed)], time_limit=self.time_limit, lost=_lost)


def _items(rng: np.random.Generator, span: _Span) -> list[Item]:
    """Draw a carton and one or two items that look different."""
    carton: Look = ('carton', str(rng.choice(list(COLOURS))))
    others = draw_looks(rng, int(rng.integers(1, 3)), but=(carton,))
    beside = replace(span.item, height=_OTHERS_HEIGHT)
    return [span.item.draw(rng, 'item0', carton),
            *(beside.draw(rng, f'item{i}', look) for i, look in enumerate(others, start=1))]


def _arrange(
    rng: np.random.Generator, items: Sequence[Item], counter: float, span: _Span,
) -> tuple[OpenBox, Spots]:
    """Draw where the cooler and the items stand, so that a hand gets at the carton."""
    for _ in range(_DRAWS):
        spots = np.column_stack([
            rng.uniform(*_OTHERS_X, len(items)), rng.uniform(-_OTHERS_Y, _OTHERS_Y, len(items))])
        spots[0] = rng.uniform(*_CARTON_X), rng.choice([-1.0, 1.0]) * rng.uniform(*_CARTON_Y)
        sign = 1.0 if side_of(spots[0, 1]) == 0 else -1.0
        box = OpenBox(
            (rng.uniform(*_COOLER_X), sign * rng.uniform(*_COOLER_Y), floor_above(counter)),
            rng.uniform(-0.25, 0.25), (rng.uniform(*span.half), rng.uniform(*span.half)),
            rng.uniform(*span.depth))
        yaws = np.array([steep(x, y, side_of(y)) for x, y in spots])
        yaws += rng.uniform(-0.10, 0.10, len(items))
        if _clear(items, spots, float(yaws[0]), box):
            return box, (spots, yaws)
    raise SceneError(f'no room for a cooler and {len(items)} items in {_DRAWS} draws')


def _clear(items: Sequence[Item], spots: Array, yaw: float, box: OpenBox) -> bool:
    """Whether all stand apart, and a hand can come to the first item."""
    for i, item in enumerate(items):
        if box.distance(spots[i]) < 1.4 * item.radius + _GAP:
            return False
        for j in range(i):
            room_needed = 1.4 * (item.radius + items[j].radius) + _GAP
            if np.linalg.norm(spots[i] - spots[j]) < room_needed:
                return False
    x, y = spots[0]
    angle = grasp_yaw(items[0], yaw, steep(x, y, side_of(y)))
    obstacles = [(spot, 1.4 * item.radius) for spot, item in zip(spots[1:], items[1:])]
    walls = [(point, 0.0) for point in box.outline]
    return (approach_clear(spots[0], angle, obstacles)
            and approach_clear(spots[0], angle, walls, length=_LOW_HAND))


def _stowed(world: World) -> float:
    """1 when the carton is in the cooler, at rest and let go of."""
    facts = world.scene.facts
    target = facts['target']
    return 1.0 if (
        facts['cooler'].holds(world, target, facts['items'][target].height)
        and world.resting(target) and not world.touched_by_robot(target)) else 0.0


def _lost(world: World) -> str:
    """Say whether the carton lies on the floor."""
    return 'the carton fell to the floor' if (
        world.body_position(world.scene.facts['target'])[2] < 0.3) else ''
