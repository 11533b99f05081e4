# SPDX-License-Identifier: Apache-2.0
"""Carrying, setting down, pouring and handing over what a hand holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from g1_description.kinematics import rotated
from g1_sim.experts.grasp import (
    DOWN,
    UP,
    Thing,
    closed_around,
    grasp_point,
    let_go,
    let_go_upwards,
    reach,
    start_over,
)
from g1_sim.experts.skills import Expert, Script, facing
from g1_sim.parts.shelf import SHELF_X
from g1_sim.parts.vessel import Pourable

Array = NDArray[np.float64]

LIFT = 0.05
"""How far something is lifted before it is carried away, m."""
_TILT = 1.40
# Peak speed at which something is let down: it would slip through the fingers, m/s.
_LOWERING = 0.25
# How far over a rim a lip is tilted, m.
_LIP = 0.012
# How far in front of its place on a shelf a thing comes in, and how far a hand backs off, past
# what stands beside, m.
_BEFORE_SHELF, _OFF_SHELF = 0.11, 0.16
# How far the taking and the giving hand turn inwards to meet, rad: the fingers of the one must
# stay clear of the camera on the wrist of the other. For the same reason the taking hand is
# closed a little on its way, 0 to 1, and comes from so far, m.
_TAKING, _GIVING, _NARROW, _FROM = 1.5, 1.4, 0.2, 0.12


def carry(
    expert: Expert, side: int, thing: Thing, goal: Array, *, yaw: float | None = None,
    level: bool = True, swing: bool = False, speed: float | None = None,
) -> Script:
    """Bring a held thing's origin over a spot.

    Args:
        expert: The expert.
        side: 0 left, 1 right.
        thing: What the hand holds.
        goal: Where its origin is to be, (3,) m, base_link.
        yaw: The hand's yaw there, rad; what suits the arm by default.
        level: Whether to hold it upright, however it hangs in the hand.
        swing: Whether to go in joint space, which is quicker over a long way.
        speed: Peak speed, m/s; that of the pace by default.
    """
    hand, turned = expert.hand(side)
    body = expert.world.body_rotation(thing.name)
    inside = turned.T @ (expert.world.body_position(thing.name) - hand)
    position = goal
    for _ in range(2):
        rotation = reach(position, side) if yaw is None else facing(yaw, DOWN)
        if level:
            lean = np.cross(rotation @ turned.T @ body[:, 2], UP)
            rotation = rotated(rotation, lean)
        position = goal - rotation @ inside
    if swing:
        yield from expert.swing(side, position, rotation)
    yield from expert.move(side, position, rotation, speed=speed)


def put(
    expert: Expert, side: int, thing: Thing, spot: Array, *, over: float = 0.03,
    within: float | None = None, swing: bool = False,
) -> Script:
    """Set a held thing down with its origin at a spot, let go and draw the hand away.

    It travels at the height at which it is held, but at least `over` m above the spot.

    Args:
        expert: The expert.
        side: 0 left, 1 right.
        thing: What the hand holds.
        spot: (3,) m, base_link.
        over: See above.
        within: How exactly it must be above the spot before it is let down, m, for what must
            fit closely; not measured by default.
        swing: See `carry`.
    """
    goal = expert.place_at(spot)
    height = float(expert.world.body_position(thing.name)[2])
    above = np.array([goal[0], goal[1], max(height, goal[2] + over)])
    shelved = goal[0] > SHELF_X[0]
    if shelved:
        # In over the board from its front, clear of its edge.
        above[2] = goal[2] + over
        ahead = above - _BEFORE_SHELF * reach(above, side)[:, 2]
        yield from carry(expert, side, thing, np.array([*ahead[:2], above[2]]), swing=swing)
    yield from carry(expert, side, thing, above, swing=swing and not shelved)
    low = goal + 0.002 * UP
    if within is None:
        # Once more from here: how it hangs in the hand is seen now.
        yield from carry(expert, side, thing, low, speed=_LOWERING)
    else:
        _, rotation = expert.hand(side)
        yield from expert.adjust(
            side, rotation, lambda: above - expert.world.body_position(thing.name),
            within=within)
        # Straight down: a hand that turns would take it off its spot again.
        here, _ = expert.hand(side)
        way = low - expert.world.body_position(thing.name)
        yield from expert.move(side, here + way, rotation, speed=0.15)
    if shelved:
        yield from let_go(expert, side, back=_OFF_SHELF, straight=True)
    else:
        yield from let_go_upwards(expert, side)


def pour(
    expert: Expert, side: int, source: Pourable, target: Array, *, outwards: bool = False,
    seconds: float = 1.0, short: float = 0.0, over: float = 0.02, swing: bool = False,
) -> Script:
    """Bring a held vessel's mouth over a spot, tilt it by rolling the hand, and tilt it back.

    Args:
        expert: The expert.
        side: 0 left, 1 right.
        source: What the hand holds.
        target: Where the mouth is to be a little above, (3,) m, base_link.
        outwards: Whether the mouth turns away from the robot, the hand being on this side of the
            target; otherwise towards the robot, the hand being beyond.
        seconds: How long it stays tilted.
        short: How far before the target the mouth stays, m: fingers stay clear of the vessel.
        over: How far over the target the base of the upright vessel passes at least, m.
        swing: See `carry`.
    """
    sign = 1.0 if (side == 0) != outwards else -1.0
    hand, rotation = expert.hand(side)
    base = expert.world.body_position(source.name)
    axis = expert.world.body_rotation(source.name)[:, 2]
    lip = rotation.T @ (base + source.height * axis - hand)
    mouth = target + (_LIP + source.radius) * UP
    tipped = mouth
    for _ in range(2):
        level = reach(tipped, side)
        tilted = rotated(level, sign * _TILT * level[:, 2])
        way = (tilted @ lip)[:2]
        tipped = mouth - tilted @ lip - short * np.array([*way, 0.0]) / np.linalg.norm(way)
    held = float((hand - base) @ axis)
    before = tipped + 0.03 * UP
    before[2] = max(before[2], target[2] + over + held)
    if swing:
        yield from expert.swing(side, before, level)
    yield from expert.move(side, before, level, exact=not swing)
    yield from expert.move(side, tipped, tilted)
    yield from expert.wait(round(30 * seconds))
    yield from expert.move(side, tipped, level)


def hand_over(
    expert: Expert, giver: int, thing: Thing, at: Array, *, high: float, away: bool = True,
) -> Script:
    """Hold a thing up with one hand, take it by its upper part with the other one.

    Args:
        expert: The expert.
        giver: The hand that holds it, 0 left, 1 right.
        thing: What changes hands.
        at: Where its origin is held for that, (3,) m, base_link.
        high: Where the other hand takes it, m above its origin.
        away: Whether the giver goes to rest; it waits where it drew back to otherwise.
    """
    taker, sign = 1 - giver, -1.0 if giver == 0 else 1.0
    taking = facing(-sign * _TAKING, DOWN)
    yield from carry(expert, giver, thing, at, yaw=sign * _GIVING)
    grasp = expert.grasp_at(grasp_point(expert, thing, high), taking)
    yield from expert.grip(taker, _NARROW)
    yield from expert.swing(taker, grasp - _FROM * taking[:, 2], taking)
    yield from expert.move(taker, grasp, taking, speed=0.25)
    yield from expert.grip(taker, 1.0)
    yield from let_go(expert, giver, back=_FROM, straight=True)
    if away:
        yield from expert.rest(giver)


def free_hands(
    expert: Expert, things: Iterable[Thing], place: Callable[[int, Thing], Array],
) -> Script:
    """Put down what is in the hands, and bring them to rest: to start from anywhere.

    Args:
        expert: The expert.
        things: What may be in a hand.
        place: From a hand and a thing to where that hand puts it down, (3,) m, base_link.
    """
    held = {side: next((t for t in things if closed_around(expert, side, t)), None)
            for side in (0, 1)}
    if held[0] is not None and held[0] is held[1]:
        # The one that holds it lower lets go: the other one can set it down.
        low = min((0, 1), key=lambda side: float(expert.hand(side)[0][2]))
        yield from let_go(expert, low)
        yield from expert.rest(low)
        held[low] = None
    for side, thing in held.items():
        if thing is not None:
            # It may have been about to close, or low over what stands there.
            yield from expert.grip(side, 1.0)
            lifted = expert.world.body_position(thing.name) + LIFT * UP
            yield from carry(expert, side, thing, lifted)
            yield from put(expert, side, thing, place(side, thing))
            yield from expert.rest(side)
        yield from start_over(expert, side, upwards=True)
