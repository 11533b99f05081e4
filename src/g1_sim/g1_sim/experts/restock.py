# SPDX-License-Identifier: Apache-2.0
"""The expert for restock: pick the named item, put it on its board; try again if it slips."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from g1_sim.experts.grasp import DOWN, UP, let_go, pick_from_front, square
from g1_sim.experts.skills import Expert, Script, facing
from g1_sim.items import Item
from g1_sim.postures import inward

Array = NDArray[np.float64]

# How far in front of a grasp or of a spot on a board a hand lines up, m.
_BEFORE = 0.11
# Height of the TCP over the tallest item at which an open hand passes clear of it, m.
_CLEAR = 0.045
_ATTEMPTS = 4
# Closure from which on a hand may hold something; distance of a joint from its rest, rad.
_CLOSED, _AT_REST = 0.3, 0.1
# Where on a board a hand reaches well, m to its own side.
_PLACE_Y = (0.10, 0.24)


def restock(expert: Expert) -> Script:
    """Pick and place until the item stands on its board."""
    facts = expert.world.scene.facts
    item: Item = facts['items'][facts['target']]
    if expert.flaws.wrong_item:
        item = next(other for other in facts['items'].values() if other is not item)
    side = 0 if expert.world.body_position(item.name)[1] > 0.0 else 1
    taken_over = next((hand for hand in (0, 1) if _closed_on(expert, hand, item)), None)
    if taken_over is None:
        for hand in (0, 1):
            yield from _free(expert, hand)
    else:
        # It may have been about to close.
        side = taken_over
        yield from expert.grip(side, 1.0)
    for attempt in range(_ATTEMPTS):
        if attempt > 0 or taken_over is None:
            yield from _pick(expert, side, item)
        if _held(expert, side, item):
            yield from _place(expert, side, item)
            if abs(expert.world.body_position(item.name)[2] - facts['board']) < 0.02:
                return
        yield from _recover(expert, side)


def _closed_on(expert: Expert, side: int, item: Item) -> bool:
    """Whether a hand had this upright item in its grip when the script began."""
    return bool(expert.command[7 + 8 * side] > _CLOSED and _held(expert, side, item)
                and expert.world.body_rotation(item.name)[2, 2] > 0.95)


def _free(expert: Expert, side: int) -> Script:
    """Set down what a hand holds that was at work when the script began, and bring it to rest."""
    rest = expert.posture[8 * side:8 * side + 8]
    if np.max(np.abs(expert.command[8 * side:8 * side + 8] - rest)) < _AT_REST:
        return
    facts = expert.world.scene.facts
    for item in facts['items'].values():
        drop = expert.world.body_position(item.name)[2] - facts['counter']
        hand, rotation = expert.hand(side)
        if _closed_on(expert, side, item) and hand[0] < facts['shelf_x'][0] and drop > 0.0:
            yield from expert.move(side, hand - drop * UP, rotation, speed=0.2)
    yield from _recover(expert, side)


def _pick(expert: Expert, side: int, item: Item) -> Script:
    base = expert.world.body_position(item.name)
    facts = expert.world.scene.facts
    tallest = max(other.height for other in facts['items'].values())
    yield from pick_from_front(
        expert, side, item, square(expert, item, inward(base[0], base[1], side)),
        over=facts['counter'] + tallest + _CLEAR, before=_BEFORE)


def _held(expert: Expert, side: int, item: Item) -> bool:
    hand, _ = expert.hand(side)
    grasp = expert.world.body_position(item.name) + item.grasp_height * UP
    return float(np.linalg.norm(hand - grasp)) < 0.03


def _place(expert: Expert, side: int, item: Item) -> Script:
    facts = expert.world.scene.facts
    hand, rotation = expert.hand(side)
    # How the item hangs in the hand, so that it is set down where it is meant to be.
    offset = expert.world.body_position(item.name) - hand
    sign = 1.0 if side == 0 else -1.0
    y = sign * float(np.clip(sign * hand[1], *_PLACE_Y))
    # Inwards, the more so the higher the board: the best for the elbow, as `inward` is.
    yaw = -sign * (0.70 - 1.2 * sign * y + 0.8 * (facts['board'] - 0.86))
    level = facts['board'] - offset[2]
    inside = expert.place_at(np.array([facts['shelf_x'][0] + 0.045, y, level]))
    turned = facing(yaw, DOWN)
    yield from expert.move(side, hand + 0.05 * UP, rotation, yaw_weight=0.2,
                           speed=0.15, exact=False)
    yield from expert.swing(side, inside - _BEFORE * turned[:, 2], turned, yaw_weight=0.2)
    yield from expert.move(side, inside + 0.02 * UP, turned, yaw_weight=0.2, speed=0.3)
    yield from expert.move(side, inside + 0.003 * UP, turned, yaw_weight=0.2, speed=0.1)
    yield from let_go(expert, side)


def _recover(expert: Expert, side: int) -> Script:
    """Open the hand, back away and start over from the rest posture."""
    yield from let_go(expert, side)
    yield from expert.rest(side)
