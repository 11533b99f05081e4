# SPDX-License-Identifier: Apache-2.0
"""The expert for freezer: one hand opens and closes the door, the other places the item."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from g1_sim.experts.grasp import DOWN, UP, holds, pick_from_front, square
from g1_sim.experts.skills import Expert, Script, facing, together
from g1_sim.items import Item
from g1_sim.parts.door import Door
from g1_sim.postures import inward, inward_above
from g1_sim.tasks.freezer import closed, stored

Array = NDArray[np.float64]

# How far in front of a grasp or of a spot inside a hand lines up, m.
_BEFORE = 0.11
# How far back and to its own side a hand lines up, so that what it carries is still in front of
# the freezer, m.
_OUTSIDE, _ASIDE = 0.17, 0.06
# Inwards when reaching into the freezer, rad: as little as the arm can, to pass the wall.
_INSIDE_YAW = 0.62
# Height of the TCP over the tallest item at which an open hand passes clear of it, m.
_CLEAR = 0.045
# An open hand is too wide between bar and door: the closure at which it goes around the bar.
_AROUND = 0.45
# Wide enough to let go of an item, and no wider beside the wall.
_LET_GO = 0.05
# Gently, so that the bar turns between the pads as the door swings.
_GENTLE = 0.80
_OPEN = 1.40
_WIDE = 1.15
# Pushes the door a little past closed, rad, and more if need be: the arm gives way.
_SHUT = (-0.06, -0.12, -0.18)
_SWING = 0.65
_ATTEMPTS = 4


def freezer(expert: Expert) -> Script:
    """Open the door, put the item inside and close the door until all is done."""
    facts = expert.world.scene.facts
    door: Door = facts['door']
    item: Item = facts['items'][facts['target']]
    if expert.flaws.wrong_item:
        item = next(other for other in facts['items'].values() if other is not item)
    placing = 1 - door.side

    def take() -> Script:
        if not _inside(expert, item):
            yield from together(_open(expert, door), _pick(expert, placing, item))

    def store() -> Script:
        if holds(expert, placing, item):
            yield from _place(expert, placing, item)

    def shut() -> Script:
        yield from together(_close(expert, door), expert.rest(placing))

    for _ in range(_ATTEMPTS):
        if not holds(expert, placing, item) and not expert.rests(placing):
            yield from _recover(expert, placing, _LET_GO)
        yield from expert.steps(take, store, shut)
        if closed(expert.world) and stored(expert.world):
            return
        yield from _recover(expert, door.side, _AROUND)


def _inside(expert: Expert, item: Item) -> bool:
    low, high = expert.world.scene.facts['inside']
    base = expert.world.body_position(item.name)
    return bool(np.all(base[:2] > low[:2]) and base[0] < high[0] and base[2] > low[2] - 0.01)


def _at_bar(door: Door, angle: float) -> tuple[Array, Array]:
    bar = door.bar(angle)
    return bar, facing(inward_above(bar, door.side), DOWN)


def _holds_bar(expert: Expert, door: Door) -> bool:
    bar = door.bar(expert.world.joint_position(door.name))
    return (float(np.linalg.norm(expert.hand(door.side)[0] - bar)) < 0.02
            and float(expert.command[7 + 8 * door.side]) > 0.6)


def _hold(expert: Expert, door: Door) -> Script:
    """Take the bar wherever the door is."""
    side = door.side
    bar, rotation = _at_bar(door, expert.world.joint_position(door.name))
    grasp = expert.grasp_at(bar, rotation)
    yield from expert.grip(side, _AROUND)
    yield from expert.swing(side, grasp - _BEFORE * rotation[:, 2], rotation)
    yield from expert.move(side, grasp, rotation, speed=0.2)
    yield from expert.grip(side, _GENTLE)


def _turn(expert: Expert, door: Door, goal: float) -> Script:
    """Lead the bar along its arc to an opening angle, rad."""
    start = expert.world.joint_position(door.name)
    yield from expert.trace(
        door.side, lambda part: _at_bar(door, start + part * (goal - start)),
        1.875 * abs(goal - start) / _SWING, yaw_weight=0.5)


def _open(expert: Expert, door: Door) -> Script:
    for _ in range(_ATTEMPTS):
        if expert.world.joint_position(door.name) > _WIDE:
            return
        if not _holds_bar(expert, door):
            yield from _hold(expert, door)
        yield from expert.grip(door.side, _GENTLE)
        yield from _turn(expert, door, _OPEN)
        if not _holds_bar(expert, door):
            yield from _recover(expert, door.side, _AROUND)


def _close(expert: Expert, door: Door) -> Script:
    if not _holds_bar(expert, door):
        yield from _hold(expert, door)
    yield from expert.grip(door.side, _GENTLE)
    for beyond in _SHUT:
        yield from _turn(expert, door, beyond)
        yield from expert.wait(5)
        if closed(expert.world):
            break
    yield from expert.grip(door.side, _AROUND)
    # A hand that still presses on the bar would take the door along as it backs off.
    bar, rotation = _at_bar(door, expert.world.joint_position(door.name))
    yield from expert.move(door.side, bar, rotation, speed=0.1)
    yield from _back(expert, door.side)


def _pick(expert: Expert, side: int, item: Item) -> Script:
    for _ in range(_ATTEMPTS):
        if holds(expert, side, item):
            return
        facts = expert.world.scene.facts
        x, y, _ = expert.world.body_position(item.name)
        tallest = max(other.height for other in facts['items'].values())
        yield from pick_from_front(
            expert, side, item, square(expert, item, inward(x, y, side)), before=_BEFORE,
            over=facts['counter'] + tallest + _CLEAR)
        here, rotation = expert.hand(side)
        yield from expert.move(side, here + 0.05 * UP, rotation, yaw_weight=0.2, speed=0.15)
        if not holds(expert, side, item):
            yield from _recover(expert, side, 0.0)


def _place(expert: Expert, side: int, item: Item) -> Script:
    low, high = expert.world.scene.facts['inside']
    hand, _ = expert.hand(side)
    # How the item hangs in the hand, so that it is set down where it is meant to be.
    offset = expert.world.body_position(item.name) - hand
    sign = 1.0 if side == 0 else -1.0
    # As far to the hand's own side as it has room beside the wall.
    y = (high[1] if side == 0 else low[1]) - sign * 0.11
    spot = expert.place_at(np.array([low[0] + 0.05, y, low[2] - offset[2]]))
    rotation = facing(-sign * _INSIDE_YAW, DOWN)
    outside = spot + np.array([-_OUTSIDE, sign * _ASIDE, 0.05])
    comfortable = facing(inward_above(outside, side), DOWN)
    if not _inside(expert, item):
        yield from expert.swing(side, outside, comfortable)
        yield from expert.move(side, spot + 0.02 * UP, rotation, yaw_weight=0.2, speed=0.3)
    yield from expert.move(side, spot + 0.003 * UP, rotation, yaw_weight=0.2, speed=0.1)
    yield from expert.grip(side, _LET_GO)
    # Nearly straight at first: fingers that turn would take the item along.
    yield from expert.move(side, spot + 0.3 * (outside - spot), facing(-sign * 0.68, DOWN),
                           speed=0.2, exact=False)
    yield from expert.move(side, outside, comfortable)


def _recover(expert: Expert, side: int, closure: float) -> Script:
    """Open the hand, back away and start over from the rest posture."""
    yield from expert.grip(side, closure)
    yield from _back(expert, side)
    yield from expert.rest(side)


def _back(expert: Expert, side: int) -> Script:
    here, rotation = expert.hand(side)
    yield from expert.move(side, here - _BEFORE * rotation[:, 2], rotation, yaw_weight=0.2)
