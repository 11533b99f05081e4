# SPDX-License-Identifier: Apache-2.0
"""Taking hold of things, knowing whether they are held, letting go."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from g1_sim.experts.skills import Expert, Script, facing
from g1_sim.items import Item, grasp_yaw
from g1_sim.postures import at_shelf

Array = NDArray[np.float64]

UP = np.array([0.0, 0.0, 1.0])
DOWN = 0.27
"""How far hands point below the horizon, rad, so that the wrist is high enough for the elbow."""

# Beyond this there is the shelf, m; so far above a board a hand holds things.
_SHELF, _ABOVE_BOARD = 0.80, 0.075
# The most that a hand turns inwards, rad.
_MOST_INWARD = 1.40
# How far in front of a grasp a hand lines up, and how far it backs off, m.
_BEFORE, _BACK = 0.10, 0.10
# How far a hand draws up from what it let go of, m, but no higher than _CEILING in base_link.
_UP_BY, _CEILING = 0.12, 0.91
# A hand this near to where it holds a thing, m, and closed so far, holds it.
_NEAR, _CLOSED = 0.03, 0.15
# One that is closed around a thing may hold it anywhere along it: so near its axis, m.
_AROUND = 0.02
_AT_REST = 0.15


class Thing(Protocol):
    """What a hand can hold: a free body, upright as it stands."""

    @property
    def name(self) -> str:
        """Name of its body."""

    @property
    def height(self) -> float:
        """From its origin to its top, m."""

    @property
    def grasp_height(self) -> float:
        """Where a hand holds it, m above its origin."""


def reach(position: Array, side: int) -> Array:
    """Return the orientation, (3, 3), in which a hand comes to a point over a counter well.

    A fit, to 0.07 rad, of the yaw that keeps the arm farthest from its joints' limits, with the
    waist at LIFT and PITCH and the hand pointing DOWN. It holds for x from 0.54 to 0.72 m,
    y from -0.04 to 0.28 m to the hand's own side, z from 0.72 to 0.90 m; beyond the counter it
    is that of `at_shelf`.

    Args:
        position: Of the TCP, (3,) m, base_link.
        side: 0 left, 1 right.
    """
    sign = 1.0 if side == 0 else -1.0
    x, y, z = position
    if x > _SHELF:
        return facing(at_shelf(y, z - _ABOVE_BOARD, side), DOWN)
    yaw = -1.13 + 1.38 * (x - 0.625) + 1.86 * sign * y - 2.62 * (z - 0.80)
    return facing(sign * max(float(yaw), -_MOST_INWARD), DOWN)


def square(expert: Expert, item: Item, yaw: float, down: float = DOWN) -> Array:
    """Return the orientation, (3, 3), in which a hand meets an item squarely.

    Args:
        expert: Who takes it.
        item: The item.
        yaw: At which the hand reaches it best, rad.
        down: How far the hand points below the horizon, rad.
    """
    turned = expert.world.body_rotation(item.name)
    own = float(np.arctan2(turned[1, 0], turned[0, 0]))
    return facing(grasp_yaw(item, own, yaw), down)


def pick_from_front(
    expert: Expert, side: int, thing: Thing, rotation: Array, *, height: float | None = None,
    over: float | None = None, before: float = _BEFORE, speed: float = 0.2,
) -> Script:
    """Take hold of a standing thing, coming along the reach: where a board or a wall is near.

    Args:
        expert: Who does it.
        side: 0 left, 1 right.
        thing: What to take.
        rotation: (3, 3) orientation of the hand.
        height: Where to hold it, m above its base; its grasp height by default.
        over: Height, m in base_link, from which the hand comes down before it goes forward, to
            pass clear of other things; straight to the front of the thing by default.
        before: How far in front of the grasp the hand lines up, m.
        speed: Of the last way, m/s.
    """
    held = thing.grasp_height if height is None else height
    grasp = expert.grasp_at(expert.world.body_position(thing.name) + held * UP, rotation)
    ahead = grasp - before * rotation[:, 2]
    yield from expert.grip(side, 0.0)
    if over is None:
        yield from expert.swing(side, ahead, rotation)
    else:
        yield from expert.swing(side, np.array([ahead[0], ahead[1], over]), rotation)
        yield from expert.move(side, ahead, rotation, speed=speed)
    yield from expert.move(side, grasp, rotation, speed=speed)
    yield from expert.grip(side, 1.0)


def pick_from_above(
    expert: Expert, side: int, thing: Thing, *, clear: float, height: float | None = None,
    lift: float = 0.05, narrow: float = 0.0,
) -> Script:
    """Take a thing, coming down on it with a finger on either side, and lift it.

    Args:
        expert: Who does it.
        side: 0 left, 1 right.
        thing: What to take.
        clear: Height at which an open hand passes over all that stands about, m, base_link.
        height: Where to hold it, m above its origin; its grasp height by default.
        lift: How far to lift it, m.
        narrow: How far the hand stays closed on its way, 0 to 1, where there is little room.
    """
    spot = grasp_point(expert, thing, height)
    rotation = reach(spot, side)
    grasp = expert.grasp_at(spot, rotation)
    above = np.array([grasp[0], grasp[1], clear])
    yield from expert.grip(side, narrow)
    yield from expert.swing(side, above, reach(above, side))
    yield from expert.move(side, grasp, rotation, speed=0.3)
    yield from expert.grip(side, 1.0)
    raised = grasp + lift * UP
    yield from expert.move(side, raised, reach(raised, side), speed=0.3, exact=False)


def grasp_point(expert: Expert, thing: Thing, height: float | None = None) -> Array:
    """Return where a thing is held, (3,) m, base_link."""
    up = expert.world.body_rotation(thing.name)[:, 2]
    held = thing.grasp_height if height is None else height
    result: Array = expert.world.body_position(thing.name) + held * up
    return result


def holds(expert: Expert, side: int, thing: Thing, height: float | None = None) -> bool:
    """Whether a closed hand is where it holds a thing."""
    if expert.command[7 + 8 * side] < _CLOSED:
        return False
    return float(np.linalg.norm(
        expert.hand(side)[0] - grasp_point(expert, thing, height))) < _NEAR


def holder(expert: Expert, thing: Thing, height: float | None = None) -> int | None:
    """Return the hand that holds a thing, None if none does."""
    return next((side for side in (0, 1) if holds(expert, side, thing, height)), None)


def closed_around(expert: Expert, side: int, thing: Thing) -> bool:
    """Whether a closed hand is around a thing, wherever along it."""
    axis = expert.world.body_rotation(thing.name)[:, 2]
    apart = expert.hand(side)[0] - expert.world.body_position(thing.name)
    along = float(np.clip(apart @ axis, 0.0, thing.height))
    return bool(expert.command[7 + 8 * side] > _CLOSED
                and np.linalg.norm(apart - along * axis) < _AROUND)


def let_go(
    expert: Expert, side: int, *, back: float = _BACK, straight: bool = False,
) -> Script:
    """Open a hand and draw it back along its reach: clear of a board, a rim, a neighbour.

    Args:
        expert: Who does it.
        side: 0 left, 1 right.
        back: How far, m.
        straight: Whether it must not turn on its way, for what would fall over.
    """
    yield from expert.grip(side, 0.0)
    here, rotation = expert.hand(side)
    yield from expert.move(side, here - back * rotation[:, 2], rotation,
                           yaw_weight=1.0 if straight else 0.2)


def let_go_upwards(expert: Expert, side: int) -> Script:
    """Open a hand and draw it up, as far as it reaches well: clear of what stands around."""
    yield from expert.grip(side, 0.0)
    here, _ = expert.hand(side)
    raised = here + max(0.0, min(_UP_BY, _CEILING - here[2])) * UP
    yield from expert.move(side, raised, reach(raised, side), exact=False)


def start_over(expert: Expert, side: int, *, upwards: bool = False) -> Script:
    """Bring a hand, wherever it is, open to its rest posture."""
    arm = slice(0, 7) if side == 0 else slice(8, 15)
    if float(np.max(np.abs(expert.command[arm] - expert.posture[arm]))) > _AT_REST:
        yield from let_go_upwards(expert, side) if upwards else let_go(expert, side)
        yield from expert.rest(side)
