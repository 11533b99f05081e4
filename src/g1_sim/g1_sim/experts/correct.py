# SPDX-License-Identifier: Apache-2.0
"""The expert for correct: take the stray item, stand it in front of its own kind."""

from __future__ import annotations

import numpy as np

from g1_sim.experts.grasp import (
    DOWN,
    UP,
    holder,
    holds,
    let_go,
    pick_from_front,
    square,
    start_over,
)
from g1_sim.experts.skills import Expert, Script, facing
from g1_sim.items import Item
from g1_sim.parts.counter import side_of
from g1_sim.postures import at_shelf, inward
from g1_sim.tasks.correct import Bay

# Height of the TCP over an item at which an open hand passes clear of it, m.
_CLEAR = 0.045
_ATTEMPTS = 4
# How far in front of a bay a hand lines up, m: what it holds comes up past the board's edge.
_LINE_UP = 0.14
# A hand this far in front of the boards, m, is free to go up and down.
_OUT = 0.11


def correct(expert: Expert) -> Script:
    """Pick and place until the stray item stands in its bay."""
    world, facts = expert.world, expert.world.scene.facts
    item: Item = facts['items'][facts['target']]
    bay: Bay = facts['bays'][item.name]
    if expert.flaws.wrong_item:
        # What it takes is plain to see; the mistake is to put it with others than its own kind.
        bay = facts['wrong_bay']
    for _ in range(_ATTEMPTS):
        side = holder(expert, item)
        for other in (0, 1):
            if other != side:
                yield from start_over(expert, other)
        if bay.holds(world, item.name) and side is None:
            return
        if side is None:
            side = side_of(world.body_position(item.name)[1])
            yield from _take(expert, side, item)
        else:
            yield from expert.grip(side, 1.0)
        if holds(expert, side, item):
            yield from _bring(expert, side, item, bay)


def _take(expert: Expert, side: int, item: Item) -> Script:
    facts = expert.world.scene.facts
    x, y, z = expert.world.body_position(item.name)
    if x > facts['shelf_x'][0]:
        yield from pick_from_front(expert, side, item, square(expert, item, at_shelf(y, z, side)))
    else:
        yield from pick_from_front(expert, side, item, square(expert, item, inward(x, y, side)),
                                   over=z + item.height + _CLEAR)


def _bring(expert: Expert, side: int, item: Item, bay: Bay) -> Script:
    """Carry the item in the hand into a bay and let go of it."""
    hand, rotation = expert.hand(side)
    front = bay.x[0]
    if hand[0] > front - _OUT:
        # Level, since a board is close above.
        level = rotation[:2, 2] / np.linalg.norm(rotation[:2, 2])
        way = (hand[0] - front + _OUT) / max(float(level[0]), 0.3)
        out = hand + 0.012 * UP - way * np.array([level[0], level[1], 0.0])
        yield from expert.move(side, hand + 0.012 * UP, rotation, speed=0.1, exact=False)
        yield from expert.move(side, out, rotation, yaw_weight=0.2, speed=0.25)
    else:
        yield from expert.move(side, hand + 0.05 * UP, rotation, yaw_weight=0.2, speed=0.15,
                               exact=False)
    hand, _ = expert.hand(side)
    # How the item hangs in the hand, so that it is set down where it is meant to be.
    hangs = expert.world.body_position(item.name)[2] - hand[2]
    spot = bay.spot(hand[1])
    inside = expert.place_at(spot - hangs * UP)
    turned = facing(at_shelf(spot[1], bay.height, side), DOWN)
    yield from expert.swing(side, inside - _LINE_UP * turned[:, 2], turned, yaw_weight=0.2)
    yield from expert.move(side, inside + 0.02 * UP, turned, yaw_weight=0.2, speed=0.3)
    yield from expert.move(side, inside + 0.003 * UP, turned, yaw_weight=0.2, speed=0.1)
    yield from let_go(expert, side)
