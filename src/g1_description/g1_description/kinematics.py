# SPDX-License-Identifier: Apache-2.0
"""Kinematics of the arms: where the hands are, and how to bring them elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from g1_description import joints as j
from g1_description.mjcf import RobotIndex, add_robot, base_spec

Array = NDArray[np.float64]

DAMPING = 0.03
POSTURE_GAIN = 0.05
_MARGIN = 0.03
ARMS = (slice(0, 7), slice(8, 15))
"""Where the joints of each arm (0 left, 1 right) stand in a command."""


def orientation_error(current: Array, wanted: Array) -> Array:
    """Return the rotation vector, (3,) rad in the world frame, from one rotation to another."""
    quaternion, relative = np.empty(4), np.empty(3)
    mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(wanted @ current.T).ravel())
    mujoco.mju_quat2Vel(relative, quaternion, 1.0)
    return relative


def rotated(rotation: Array, vector: Array) -> Array:
    """Return a rotation turned further by a rotation vector, (3,) rad, in the world frame."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return rotation
    x, y, z = vector / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    turn = np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross
    result: Array = turn @ rotation
    return result


class ArmKinematics:
    """Forward and inverse kinematics of the arms on a scratch copy of the robot's model.

    One step solves dq = J^T (J J^T + lambda^2 I)^-1 e + (I - J^+ J) k (q_posture - q), lambda =
    DAMPING (Nakamura and Hanafusa 1986): the hand's pose first, the posture in the null space.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        """Make a scratch copy of the robot's state in a model."""
        self.model = model
        self.data = mujoco.MjData(model)
        self.index = RobotIndex(model)
        self._jacp = np.empty((3, model.nv))
        self._jacr = np.empty((3, model.nv))
        lower, upper = j.limits(j.COMMAND_JOINTS)
        lower[j.ARM_INDICES] += _MARGIN
        upper[j.ARM_INDICES] -= _MARGIN
        self.lower, self.upper = lower, upper
        """(16,) what a command keeps to: a margin inside the joints' limits; grippers 0..1."""

    @classmethod
    def of_robot(cls) -> ArmKinematics:
        """Return the kinematics of the robot alone, without a scene."""
        spec = base_spec()
        add_robot(spec)
        return cls(spec.compile())

    def place(self, positions: Sequence[float] | Array) -> None:
        """Set joint positions, (20,) or (16,), and update the poses."""
        self.index.set_positions(self.data, positions)
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)

    def pose(self, side: int) -> tuple[Array, Array]:
        """Return a hand's TCP (0 left, 1 right) in base_link: position (3,) m, rotation (3, 3)."""
        site = self.index.tcp[side]
        return (self.data.site_xpos[site].copy(), self.data.site_xmat[site].reshape(3, 3).copy())

    def jacobian(self, side: int) -> Array:
        """Return the (6, 7) Jacobian of a hand's TCP: m/rad, then rad/rad, base_link."""
        mujoco.mj_jacSite(self.model, self.data, self._jacp, self._jacr, self.index.tcp[side])
        dofs = self.index.arm_dof[side]
        return np.vstack([self._jacp[:, dofs], self._jacr[:, dofs]])

    def velocity(
        self, side: int, twist: Array, start: Array, posture: Array, *, seconds: float,
    ) -> Array:
        """Return how far the joints of an arm, (7,) rad, go to move its hand with a twist.

        As `solve`, but a joint that would pass its limit stops there and the others do what they
        can without it: the hand slides along the end of its reach.

        Args:
            side: 0 left, 1 right.
            twist: (6,) velocity of the TCP, m/s, then rad/s, base_link.
            start: (20,) joint positions, the waist's among them.
            posture: (7,) angles preferred where the twist leaves a choice.
            seconds: For how long.
        """
        self.place(start)
        jacobian, angles = self.jacobian(side), np.asarray(start)[ARMS[side]]
        # From beyond a limit a joint may come back, but not go farther.
        lower = np.minimum(self.lower[ARMS[side]], angles) - angles
        upper = np.maximum(self.upper[ARMS[side]], angles) - angles
        change, free = np.zeros(7), np.ones(7, dtype=np.bool_)
        while free.any():
            part = jacobian[:, free]
            inverse = part.T @ np.linalg.inv(part @ part.T + DAMPING**2 * np.eye(6))
            wanted = seconds * twist - jacobian[:, ~free] @ change[~free]
            spare = POSTURE_GAIN * (posture - angles)[free]
            change[free] = inverse @ wanted + spare - inverse @ (part @ spare)
            stopped = free & ((change < lower) | (change > upper))
            if not stopped.any():
                break
            change[stopped] = np.clip(change, lower, upper)[stopped]
            free &= ~stopped
        return change

    def solve(
        self, side: int, position: Array, rotation: Array, start: Array, posture: Array, *,
        iterations: int = 1, max_step: float = 0.2, yaw_weight: float = 1.0,
    ) -> Array:
        """Return arm angles, (7,) rad, that bring a hand closer to a pose.

        Args:
            side: 0 left, 1 right.
            position: (3,) TCP position, m, base_link.
            rotation: (3, 3) TCP orientation, base_link.
            start: (20,) joint positions to start from, the waist's among them.
            posture: (7,) angles preferred where the pose leaves a choice.
            iterations: Steps of the solver.
            max_step: Largest change of a joint in one step, rad.
            yaw_weight: How much turning about the vertical counts, 0 to 1: a round thing may be
                held from any side.
        """
        arm = ARMS[side]
        full = np.array(start, dtype=np.float64)
        for _ in range(iterations):
            self.place(full)
            here, facing = self.pose(side)
            error = np.concatenate([position - here, orientation_error(facing, rotation)])
            jacobian = self.jacobian(side)
            error[5] *= yaw_weight
            jacobian[5] *= yaw_weight
            inverse = jacobian.T @ np.linalg.inv(
                jacobian @ jacobian.T + DAMPING**2 * np.eye(6))
            change = inverse @ error
            change += (np.eye(7) - inverse @ jacobian) @ (POSTURE_GAIN * (posture - full[arm]))
            largest = float(np.max(np.abs(change)))
            if largest > max_step:
                change *= max_step / largest
            full[arm] = np.clip(full[arm] + change, self.lower[arm], self.upper[arm])
        return full[arm].copy()
