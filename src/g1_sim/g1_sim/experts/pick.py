# SPDX-License-Identifier: Apache-2.0
"""Picking up an item, knowing whether it is held, starting over from wherever the hands are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from g1_sim.experts.skills import Expert, Script, facing
from g1_sim.items import Item, grasp_yaw

Array = NDArray[np.float64]

UP = np.array([0.0, 0.0, 1.0])
# How far in front of a grasp a hand lines up, m.
_BEFORE = 0.10
_BACK = 0.10
_HELD = 0.03
_CLOSED = 0.15
_AT_REST = 0.15


def pick(
    expert: Expert, side: int, item: Item, yaw: float, down: float, *, height: float,
    over: float | None = None,
) -> Script:
    """Take hold of a standing item.

    Args:
        expert: Who does it.
        side: 0 left, 1 right.
        item: What to take.
        yaw: At which the hand reaches it best, rad.
        down: How far the hand points below the horizon, rad.
        height: Where to hold it, m above its base.
        over: Height, m in base_link, from which the hand comes down before it goes forward, to
            pass clear of other items; straight to the front of the item by default.
    """
    base = expert.world.body_position(item.name)
    turned = expert.world.body_rotation(item.name)
    own = float(np.arctan2(turned[1, 0], turned[0, 0]))
    rotation = facing(grasp_yaw(item, own, yaw), down)
    grasp = expert.grasp_at(base + height * UP, rotation)
    before = grasp - _BEFORE * rotation[:, 2]
    yield from expert.grip(side, 0.0)
    if over is None:
        yield from expert.swing(side, before, rotation)
    else:
        yield from expert.swing(side, np.array([before[0], before[1], over]), rotation)
        yield from expert.move(side, before, rotation, speed=0.2)
    yield from expert.move(side, grasp, rotation, speed=0.2)
    yield from expert.grip(side, 1.0)


def held(expert: Expert, side: int, item: Item, height: float) -> bool:
    """Whether a closed hand is where it holds an item, `height` m above its base."""
    if expert.command[7 + 8 * side] < _CLOSED:
        return False
    hand, _ = expert.hand(side)
    axis = expert.world.body_rotation(item.name)[:, 2]
    grasp = expert.world.body_position(item.name) + height * axis
    return float(np.linalg.norm(hand - grasp)) < _HELD


def holder(expert: Expert, item: Item, height: float) -> int | None:
    """Return the hand that holds an item, None if none does."""
    return next((side for side in (0, 1) if held(expert, side, item, height)), None)


def let_go(expert: Expert, side: int) -> Script:
    """Open a hand and draw it back along its reach."""
    yield from expert.grip(side, 0.0)
    here, rotation = expert.hand(side)
    yield from expert.move(side, here - _BACK * rotation[:, 2], rotation, yaw_weight=0.2)


def start_over(expert: Expert, side: int) -> Script:
    """Bring a hand, wherever it is, open to its rest posture."""
    arm = slice(0, 7) if side == 0 else slice(8, 15)
    if float(np.max(np.abs(expert.command[arm] - expert.posture[arm]))) > _AT_REST:
        yield from let_go(expert, side)
        yield from expert.rest(side)
