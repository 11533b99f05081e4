# SPDX-License-Identifier: Apache-2.0
"""Arm postures from which tasks start."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LIFT, PITCH = 0.33, 0.34
"""Lift, m, and pitch of the waist, rad, that a counter and a shelf behind it are worked from.

The elbow bends by 85 degrees only, so that the wrist can be only 0.38 to 0.50 m from the shoulder;
from this height both the counter and two boards lie within that shell.
"""
# The elbow out, half bent, over the counter, 0.38 rad and more from every limit.
READY_LEFT = np.array([-0.176, 0.441, 0.286, -0.942, 0.286, 1.329, 0.582])


def inward(x: float, y: float, side: int) -> float:
    """Return the yaw, rad, at which a hand reaches a spot of a counter well.

    A fit, to 0.1 rad, of the yaw that keeps the arm farthest from its joints' limits, by exact
    inverse kinematics with the waist at LIFT and PITCH; less inwards where that would stretch it.
    It holds for x from 0.56 to 0.69 m and y from 0.05 to 0.26 m on the hand's own side.

    Args:
        x: Of the spot, m, base_link.
        y: Of the spot, m, base_link.
        side: 0 left, 1 right.
    """
    sign = 1.0 if side == 0 else -1.0
    return sign * (-1.08 + 2.4 * sign * y + 1.6 * (x - 0.625))


def inward_above(spot: Array, side: int) -> float:
    """Return the yaw, rad, at which a hand reaches a spot in the air before a cabinet well.

    As `inward`, for x from 0.56 to 0.88 m, y from -0.08 m (beyond the middle) to 0.30 m on the
    hand's own side, and z from 0.92 to 1.04 m; off by 0.07 rad at most, its range is +-0.1.

    Args:
        spot: (3,) m, base_link.
        side: 0 left, 1 right.
    """
    sign = 1.0 if side == 0 else -1.0
    u, v, w = spot[0] - 0.70, sign * spot[1] - 0.10, spot[2] - 0.98
    yaw: float = sign * (-1.225 + 1.945 * u + 1.528 * v - 5.02 * u * v + 3.54 * v**2 + 1.65 * u**2
                   - 1.075 * w)
    return yaw


def inward_from_above(spot: Array, down: float, side: int) -> float:
    """Return the yaw, rad, at which a hand that points well down reaches a spot well.

    As `inward`, for x from 0.54 to 0.70 m, y from 0.05 to 0.33 m on the hand's own side, z from
    0.73 to 0.87 m and `down` from 0.5 to 0.9 rad; off by 0.15 rad at most, 0.05 rad as a rule.

    Args:
        spot: (3,) m, base_link.
        down: How far the hand points below the horizon, rad.
        side: 0 left, 1 right.
    """
    sign = 1.0 if side == 0 else -1.0
    u, v, w, d = spot[0] - 0.60, sign * spot[1] - 0.15, spot[2] - 0.80, down - 0.70
    yaw: float = sign * (-1.431 + 2.64 * u + 1.88 * v - 0.89 * d - 1.68 * w
                   - 6.07 * u * v + 4.91 * v**2 + 2.10 * u**2 - 1.18 * d * v)
    return yaw


def mirrored(left: Array) -> Array:
    """Return the right arm's angles, (7,), for the mirror image of the left arm's."""
    return -left


def at_shelf(y: float, height: float, side: int) -> float:
    """Return the yaw, rad, at which a hand reaches a spot at the front of a board well.

    A fit, to 0.05 rad, of the yaw that keeps the arm farthest from its limits on the last 0.11 m
    to a spot 0.945 m ahead; 0.1 rad off it the elbow cannot bend or stretch as the way needs.
    It holds for y from 0.10 to 0.25 m on the hand's own side.

    Args:
        y: Of the spot, m, base_link.
        height: Of the board, m, base_link; 0.84 to 1.09.
        side: 0 left, 1 right.
    """
    sign = 1.0 if side == 0 else -1.0
    return -sign * (0.75 - 1.1 * sign * y + 0.8 * (height - 0.86))


STEEP_DOWN = 0.8
"""How far below the horizon, rad, the hands point in the postures for reaching into things."""
STEEP_LIFT, STEEP_PITCH = 0.34, 0.30
"""Lift, m, and pitch of the waist, rad, for reaching into things that stand on a counter.

With hands that point so steeply this leaves the widest choice of yaws between 0.79 and 0.93 m.
"""
# 0.61 rad and more from every limit.
STEEP_READY_LEFT = np.array([1.171, -0.632, -0.424, -0.87, -0.284, 1.003, 0.43])


def steep(x: float, y: float, side: int) -> float:
    """Return the yaw, rad, at which a hand that points down steeply reaches a spot well.

    A fit, to 0.1 rad, of the middle of the yaws (0.3 rad wide and more) at which the arm can
    come forward to a spot 0.80 m high and go up from there to 0.93 m.
    It holds for x from 0.66 to 0.80 m and y from -0.02 to 0.34 m on the hand's own side.

    Args:
        x: Of the spot, m, base_link.
        y: Of the spot, m, base_link.
        side: 0 left, 1 right.
    """
    sign = 1.0 if side == 0 else -1.0
    return sign * (-1.35 + 1.6 * sign * y + 3.0 * (x - 0.73))
