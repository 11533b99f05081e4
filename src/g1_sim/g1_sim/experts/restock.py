# SPDX-License-Identifier: Apache-2.0
"""The expert for restock: pick the named item, put it on its board; try again if it slips."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from g1_sim.experts.skills import Expert, Script, facing
from g1_sim.items import INWARD, Item, grasp_yaw

Array = NDArray[np.float64]

_BEFORE = 0.11
_UP = np.array([0.0, 0.0, 1.0])
_ATTEMPTS = 4


def restock(expert: Expert) -> Script:
    """Pick and place until the item stands on its board."""
    facts = expert.world.scene.facts
    item: Item = facts['items'][facts['target']]
    side = 0 if expert.world.body_position(item.name)[1] > 0.0 else 1
    for _ in range(_ATTEMPTS):
        yield from _pick(expert, side, item)
        if _held(expert, side, item):
            yield from _place(expert, side, item)
            if abs(expert.world.body_position(item.name)[2] - facts['board']) < 0.02:
                return
        yield from _recover(expert, side)


def _pick(expert: Expert, side: int, item: Item) -> Script:
    base = expert.world.body_position(item.name)
    turned = expert.world.body_rotation(item.name)
    rotation = facing(grasp_yaw(item, float(np.arctan2(turned[1, 0], turned[0, 0])), side))
    grasp = base + item.grasp_height * _UP
    before = grasp - _BEFORE * rotation[:, 2]
    here, _ = expert.hand(side)
    above = np.array([before[0], before[1], max(here[2], base[2] + item.height + 0.08)])
    yield from expert.grip(side, 0.0)
    yield from expert.move(side, above, rotation, yaw_weight=0.3, exact=False)
    yield from expert.move(side, before, rotation)
    yield from expert.move(side, grasp, rotation, speed=0.25)
    yield from expert.grip(side, 1.0)


def _held(expert: Expert, side: int, item: Item) -> bool:
    hand, _ = expert.hand(side)
    grasp = expert.world.body_position(item.name) + item.grasp_height * _UP
    return float(np.linalg.norm(hand - grasp)) < 0.03


def _place(expert: Expert, side: int, item: Item) -> Script:
    facts = expert.world.scene.facts
    hand, _ = expert.hand(side)
    # How the item hangs in the hand, so that it is set down where it is meant to be.
    offset = expert.world.body_position(item.name) - hand
    sign = 1.0 if side == 0 else -1.0
    y = float(np.clip(hand[1], -0.26, 0.26))
    board = facts['board']
    yield from expert.move(side, hand + 0.05 * _UP, facing(-INWARD * sign), yaw_weight=0.1, exact=False)
    front, inside = facts['shelf_x'][0] - 0.07, facts['shelf_x'][0] + 0.045
    level = board - offset[2]
    over = np.array([front, y, level + 0.03])
    yield from expert.move(side, over, facing(-0.6 * sign), yaw_weight=0.2)
    yield from expert.move(side, np.array([inside, y, level + 0.02]), facing(-0.3 * sign),
                           yaw_weight=0.2, speed=0.3)
    yield from expert.move(side, np.array([inside, y, level + 0.003]), facing(-0.3 * sign),
                           yaw_weight=0.2, speed=0.1)
    yield from expert.grip(side, 0.0)
    here, rotation = expert.hand(side)
    yield from expert.move(side, here - 0.10 * rotation[:, 2], rotation, yaw_weight=0.2)


def _recover(expert: Expert, side: int) -> Script:
    """Open the hand, back away and start over from the rest posture."""
    yield from expert.grip(side, 0.0)
    here, rotation = expert.hand(side)
    yield from expert.move(side, here - 0.10 * rotation[:, 2], rotation, yaw_weight=0.2)
    yield from expert.rest(side)
