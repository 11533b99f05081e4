# SPDX-License-Identifier: Apache-2.0
"""The joints of the G1: names, order, limits, speeds and efforts.

Names and limits: the public G1 URDF of AgiBot's genie_sim and community drivers. Arm joints and
the waist's pitch are in rad, the lift in m. A gripper joint is its closure: 0 open, 1 closed, the
convention of AgiBot World's `action/effector/position`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from g1_description.errors import UnknownNameError


@dataclass(frozen=True)
class Joint:
    """One joint. Units: rad, rad/s, N m; for the lift m, m/s, N; for grippers closure in 0..1."""

    name: str
    lower: float
    upper: float
    velocity: float
    effort: float


def _arm(prefix: int, side: str, j2: tuple[float, float]) -> tuple[Joint, ...]:
    lower_upper = (
        (-3.14, 3.14), j2, (-3.10, 3.10), (-1.48, 1.48), (-3.10, 3.10), (-1.74, 1.74),
        (-3.10, 3.10),
    )
    return tuple(
        Joint(f'idx{prefix + i}_arm_{side}_joint{i}', low, high, 3.14, 60.0 if i <= 4 else 30.0)
        for i, (low, high) in enumerate(lower_upper, start=1)
    )


LEFT_ARM = _arm(20, 'l', (-2.09, 1.48))
RIGHT_ARM = _arm(60, 'r', (-1.48, 2.09))
# A gripper closes its full stroke in about half a second.
LEFT_GRIPPER = Joint('idx41_gripper_l_outer_joint1', 0.0, 1.0, 2.0, 60.0)
RIGHT_GRIPPER = Joint('idx81_gripper_r_outer_joint1', 0.0, 1.0, 2.0, 60.0)
HEAD = (
    Joint('idx11_head_joint1', -1.571, 1.571, 3.14, 30.0),  # yaw
    Joint('idx12_head_joint2', -0.349, 0.524, 3.14, 30.0),  # pitch
)
WAIST = (
    Joint('idx01_body_joint1', 0.0, 0.55, 0.1, 2000.0),  # lift, m
    Joint('idx02_body_joint2', 0.0, 1.571, 0.5, 300.0),  # pitch
)

COMMAND_JOINTS = (*LEFT_ARM, LEFT_GRIPPER, *RIGHT_ARM, RIGHT_GRIPPER)
"""The 16 joints of a command, in the policy's order."""
STATE_JOINTS = (*COMMAND_JOINTS, *HEAD, *WAIST)
"""The 20 joints of a state; the first 16 are those of a command."""

COMMAND_NAMES = tuple(joint.name for joint in COMMAND_JOINTS)
STATE_NAMES = tuple(joint.name for joint in STATE_JOINTS)
ARM_INDICES = np.array([*range(7), *range(8, 15)])
"""Where the 14 arm joints stand in a command."""
GRIPPER_INDICES = np.array([7, 15])
"""Where the two grippers stand in a command."""

# A home pose of the arms used by public simulations of the robot; the right arm mirrors the left.
_HOME_LEFT = (-1.074, 0.611, 0.281, -1.284, 0.72, 1.495, -0.186)
HOME = np.array([*_HOME_LEFT, 0.0, *(-angle for angle in _HOME_LEFT), 0.0])
"""(16,) home command: rad, grippers open."""


def limits(joints: Sequence[Joint]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return lower and upper limits, each (len(joints),)."""
    return (np.array([j.lower for j in joints]), np.array([j.upper for j in joints]))


def joint(name: str) -> Joint:
    """Return a joint by name.

    Raises:
        UnknownNameError: The robot has no such joint.
    """
    for candidate in STATE_JOINTS:
        if candidate.name == name:
            return candidate
    raise UnknownNameError('joint', name, STATE_NAMES)
