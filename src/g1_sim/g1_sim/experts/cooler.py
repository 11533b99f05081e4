# SPDX-License-Identifier: Apache-2.0
"""The expert for cooler: take the carton high up, lift it over the rim, let it down inside."""

from __future__ import annotations

import numpy as np

from g1_sim.experts.grasp import UP, holder, holds, let_go, pick_from_front, square, start_over
from g1_sim.experts.skills import Expert, Script, facing
from g1_sim.items import Item
from g1_sim.parts.container import OpenBox
from g1_sim.parts.counter import side_of
from g1_sim.postures import STEEP_DOWN, steep

# A carton is held this far below its top, m, so that the hand stays above the rim.
_BELOW_TOP = 0.028
# Height of the TCP over the tallest item at which an open hand passes clear of it, m.
_CLEAR = 0.045
# Of the carton's base over the rim on the way in, m.
_OVER = 0.025
_ATTEMPTS = 4


def cooler(expert: Expert) -> Script:
    """Pick and place until the carton is in the cooler."""
    world, facts = expert.world, expert.world.scene.facts
    item: Item = facts['items'][facts['target']]
    if expert.flaws.wrong_item:
        item = next(other for other in facts['items'].values() if other is not item)
    box: OpenBox = facts['cooler']
    height = item.height - _BELOW_TOP
    for _ in range(_ATTEMPTS):
        side = holder(expert, item, height)
        for other in (0, 1):
            if other != side:
                yield from start_over(expert, other)
        if side is None and box.holds(world, item.name, item.height):
            return
        if side is None:
            x, y, z = world.body_position(item.name)
            side = side_of(y)
            tallest = max(other.height for other in facts['items'].values())
            rotation = square(expert, item, steep(x, y, side), STEEP_DOWN)
            yield from pick_from_front(expert, side, item, rotation, height=height,
                                       over=z + tallest + _CLEAR)
        else:
            yield from expert.grip(side, 1.0)
        if holds(expert, side, item, height):
            yield from _stow(expert, side, item, box)


def _stow(expert: Expert, side: int, item: Item, box: OpenBox) -> Script:
    hand, rotation = expert.hand(side)
    # How the carton hangs in the hand.
    offset = expert.world.body_position(item.name) - hand
    over = box.rim + _OVER - offset[2]
    up = np.array([hand[0], hand[1], max(over, hand[2])])
    yield from expert.move(side, up, rotation, yaw_weight=0.2, speed=0.25)
    x, y, floor = box.centre
    spot = expert.place_at(np.array([x, y, floor - offset[2]]))
    turned = facing(steep(x, y, side), STEEP_DOWN)
    above = np.array([spot[0], spot[1], over])
    yield from expert.move(side, above, turned, yaw_weight=0.2, speed=0.3)
    yield from expert.move(side, spot + 0.004 * UP, turned, yaw_weight=0.2, speed=0.12)
    yield from let_go(expert, side)
