# SPDX-License-Identifier: Apache-2.0
"""Rotations between the conventions of URDF and MJCF."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def rpy_to_matrix(rpy: Sequence[float]) -> Array:
    """Return R = Rz(yaw) Ry(pitch) Rx(roll), (3, 3), from fixed-axis angles, rad."""
    (cr, sr), (cp, sp), (cy, sy) = ((math.cos(a), math.sin(a)) for a in rpy)
    return np.array([
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ])


def matrix_to_rpy(matrix: Array) -> tuple[float, float, float]:
    """Return fixed-axis (roll, pitch, yaw), rad, of a rotation, (3, 3)."""
    pitch = math.asin(float(np.clip(-matrix[2, 0], -1.0, 1.0)))
    if abs(matrix[2, 0]) > 1.0 - 1e-12:
        return math.atan2(-matrix[1, 2], matrix[1, 1]), pitch, 0.0
    return (math.atan2(matrix[2, 1], matrix[2, 2]), pitch, math.atan2(matrix[1, 0], matrix[0, 0]))


def rpy_to_quaternion(rpy: Sequence[float]) -> Array:
    """Return the unit quaternion (w, x, y, z) of fixed-axis angles, rad."""
    (cr, sr), (cp, sp), (cy, sy) = ((math.cos(a / 2), math.sin(a / 2)) for a in rpy)
    return np.array([
        cr * cp * cy + sr * sp * sy,
        sr * cp * cy - cr * sp * sy,
        cr * sp * cy + sr * cp * sy,
        cr * cp * sy - sr * sp * cy,
    ])
