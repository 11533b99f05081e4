# SPDX-License-Identifier: Apache-2.0
"""Picking, setting down and pouring, for scripts that handle free bodies on a counter."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from g1_description.kinematics import rotated
from g1_sim.experts.skills import Expert, Script, facing
from g1_sim.parts.pots import Vessel

Array = NDArray[np.float64]

UP = np.array([0.0, 0.0, 1.0])
# The hand points down a little, rad, so that the wrist is high enough for the bent elbow.
DOWN = 0.27
# How far a hand draws up from what it let go of, m, but no higher than _CEILING in base_link.
_UP_BY, _CEILING = 0.12, 0.91
_TILT = 1.40
_NEAR = 0.03
_AT_REST = 0.15


class Thing(Protocol):
    """What a hand can hold: a free body and where it is held."""

    @property
    def name(self) -> str:
        """Name of its body."""

    @property
    def grasp_height(self) -> float:
        """Where a hand holds it, m above its origin."""


def reach(position: Array, side: int, *, down: float = DOWN) -> Array:
    """Return the orientation, (3, 3), in which a hand comes to a point over a counter well.

    A fit, to 0.07 rad, of the yaw that keeps the arm farthest from its joints' limits, with the
    waist at LIFT and PITCH and the hand pointing DOWN, 0.1 rad at least. It holds for x
    from 0.54 to 0.72 m, y from -0.04 to 0.28 m to the hand's own side, z from 0.72 to 0.90 m.

    Args:
        position: Of the TCP, (3,) m, base_link.
        side: 0 left, 1 right.
        down: How far the hand points below the horizon, rad.
    """
    sign = 1.0 if side == 0 else -1.0
    x, y, z = position
    yaw = -1.13 + 1.38 * (x - 0.625) + 1.86 * sign * y - 2.62 * (z - 0.80)
    return facing(sign * float(yaw), down)


def grasp_point(expert: Expert, thing: Thing, height: float | None = None) -> Array:
    """Return where a thing is held, (3,) m, base_link."""
    up = expert.world.body_rotation(thing.name)[:, 2]
    held = thing.grasp_height if height is None else height
    result: Array = expert.world.body_position(thing.name) + held * up
    return result


def holds(expert: Expert, side: int, thing: Thing, height: float | None = None) -> bool:
    """Whether a thing is where a closed hand would hold it."""
    hand, _ = expert.hand(side)
    return float(np.linalg.norm(hand - grasp_point(expert, thing, height))) < _NEAR


def pick(
    expert: Expert, side: int, thing: Thing, *, clear: float, height: float | None = None,
    lift: float = 0.05,
) -> Script:
    """Take a thing, coming down on it with a finger on either side, and lift it.

    Args:
        expert: The expert.
        side: 0 left, 1 right.
        thing: What to take.
        clear: Height at which an open hand passes over all that stands about, m, base_link.
        height: Where to hold it, m above its origin; its grasp height by default.
        lift: How far to lift it, m.
    """
    spot = grasp_point(expert, thing, height)
    rotation = reach(spot, side)
    grasp = expert.grasp_at(spot, rotation)
    above = np.array([grasp[0], grasp[1], clear])
    yield from expert.grip(side, 0.0)
    yield from expert.swing(side, above, reach(above, side))
    yield from expert.move(side, grasp, rotation, speed=0.3)
    yield from expert.grip(side, 1.0)
    raised = grasp + lift * UP
    yield from expert.move(side, raised, reach(raised, side), speed=0.3, exact=False)


def carry(
    expert: Expert, side: int, thing: Thing, goal: Array, *, yaw: float | None = None,
    level: bool = True,
) -> Script:
    """Bring a held thing's origin over a spot.

    Args:
        expert: The expert.
        side: 0 left, 1 right.
        thing: What the hand holds.
        goal: Where its origin is to be, (3,) m, base_link.
        yaw: The hand's yaw there, rad; what suits the arm by default.
        level: Whether to hold it upright, however it hangs in the hand.
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
    yield from expert.move(side, position, rotation, speed=0.40)


def put(expert: Expert, side: int, thing: Thing, spot: Array, *, over: float = 0.03) -> Script:
    """Set a held thing down with its origin at a spot, (3,) m, let go and draw the hand up.

    It travels at the height at which it is held, but at least `over` m above the spot.
    """
    goal = expert.place_at(spot)
    height = float(expert.world.body_position(thing.name)[2])
    yield from carry(expert, side, thing, np.array([*goal[:2], max(height, goal[2] + over)]))
    # Once more from here: how it hangs in the hand is seen now.
    yield from carry(expert, side, thing, goal + 0.002 * UP)
    yield from release(expert, side)


def release(expert: Expert, side: int) -> Script:
    """Open a hand and draw it up, as far as it reaches well."""
    yield from expert.grip(side, 0.0)
    here, _ = expert.hand(side)
    up = max(0.0, min(_UP_BY, _CEILING - here[2]))
    raised = here + up * UP
    yield from expert.move(side, raised, reach(raised, side), exact=False)


def pour(
    expert: Expert, side: int, source: Vessel, target: Array, *, outwards: bool = False,
    seconds: float = 1.0,
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
    """
    sign = 1.0 if (side == 0) != outwards else -1.0
    hand, rotation = expert.hand(side)
    lip = rotation.T @ (expert.world.body_position(source.name)
                        + source.height * expert.world.body_rotation(source.name)[:, 2] - hand)
    over = target + (0.012 + source.radius) * UP
    tipped = over
    for _ in range(2):
        level = reach(tipped, side)
        tilted = rotated(level, sign * _TILT * level[:, 2])
        tipped = over - tilted @ lip
    before = tipped + 0.03 * UP
    yield from expert.move(side, before, level)
    yield from expert.move(side, tipped, tilted)
    yield from expert.wait(round(30 * seconds))
    yield from expert.move(side, tipped, level)


def start_over(expert: Expert, side: int) -> Script:
    """Open a hand that is not at rest, draw it back and bring it to rest."""
    arm = slice(0, 7) if side == 0 else slice(8, 15)
    if np.max(np.abs(expert.command[arm] - expert.posture[arm])) > _AT_REST:
        yield from release(expert, side)
        yield from expert.rest(side)
