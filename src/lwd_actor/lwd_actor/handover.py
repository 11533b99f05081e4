# SPDX-License-Identifier: Apache-2.0
"""From one who was in control to the next without a bump."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from g1_description.joints import ARM_INDICES, COMMAND_JOINTS, GRIPPER_INDICES, limits
from g1_driver.safety.blend import Blend, BlendLimits

Array = NDArray[np.float64]

PERIOD = 1.0 / 30.0
# The pace of the driver's own blend, but quicker to brake: an arm that was moving must not drift
# on under the hands of who takes over. From 1 rad/s it stops within 0.1 rad.
_LIMITS = BlendLimits(np.full(16, 1.0), np.full(16, 8.0), np.full(16, 150.0))
# Whoever goes on with the arms' motion as smoothly as the driver's limits ask needs no blend:
# rad/s, rad/s^2.
_SMOOTH_VELOCITY, _SMOOTH_ACCELERATION = 2.0, 10.0
# How far a command may go from the last one in a tick: rad, and of a gripper's way.
_STEP = np.full(16, 0.999 * _SMOOTH_VELOCITY * PERIOD)
_STEP[GRIPPER_INDICES] = 2.0 * PERIOD
_SAME = 1e-9
_LOWER, _UPPER = limits(COMMAND_JOINTS)


class Handover:
    """Fades the difference between the last command and a new driver's out.

    The arms along a jerk-limited quintic that begins with the velocity they have; a gripper as
    fast as it goes. Behind a tick in which a driver's last target had to be repeated, the next one
    may be several ticks' motion away: it is approached as fast as the joints may go. When all have
    arrived, commands pass unchanged to the bit.
    """

    def __init__(self) -> None:
        """Begin without a last command."""
        self.forget()

    def forget(self) -> None:
        """Forget the last command, as after a reset: the next one passes as it is."""
        self.last: Array | None = None
        """(16,) the last command that was let through."""
        self._velocity = np.zeros(16)
        self._blend: Blend | None = None
        self._time = 0.0
        # Joints that must not leap to their target: it may be far away.
        self._chasing = np.zeros(16, dtype=bool)

    def stop(self) -> Array | None:
        """Return where the arms come to rest, (16,), if they brake now; None without a command."""
        if self.last is None:
            return None
        way = 0.5 * self._velocity * np.abs(self._velocity) / _LIMITS.acceleration
        way[GRIPPER_INDICES] = 0.0
        return np.clip(self.last + way, np.minimum(_LOWER, self.last),
                       np.maximum(_UPPER, self.last))

    def begin(self, target: Array, target_velocity: Array) -> None:
        """Begin to fade from the last command to those of a new driver.

        Args:
            target: (16,) its first.
            target_velocity: (16,) how fast it moves, 1/s.
        """
        if self.last is None:
            return
        offset = self.last - (target - PERIOD * target_velocity)
        velocity = self._velocity - target_velocity
        offset[GRIPPER_INDICES] = 0.0
        velocity[GRIPPER_INDICES] = 0.0
        self._blend = None if self._smooth(target) else Blend(offset, velocity, _LIMITS)
        self._chasing[:] = self._blend is not None
        self._chasing[GRIPPER_INDICES] = True
        self._time = 0.0

    def _smooth(self, target: Array) -> bool:
        """Whether a command, (16,), goes on where the last one was going."""
        assert self.last is not None  # noqa: S101  begin() has looked
        velocity = ((target - self.last) / PERIOD)[ARM_INDICES]
        acceleration = (velocity - self._velocity[ARM_INDICES]) / PERIOD
        return bool(np.max(np.abs(velocity)) <= _SMOOTH_VELOCITY + _SAME
                    and np.max(np.abs(acceleration)) <= _SMOOTH_ACCELERATION + _SAME)

    def apply(self, target: Array, *, repeated: bool = False) -> Array:
        """Return the command, (16,), for a driver's target of this tick.

        Args:
            target: (16,) rad, grippers 0..1.
            repeated: Whether it is that of an earlier tick, for want of an answer.
        """
        if repeated:
            self._chasing[:] = True
        goal = target
        if self._blend is not None:
            self._time += PERIOD
            if self._time >= self._blend.duration:
                self._blend = None
            else:
                goal = target + self._blend.at(self._time)
        command = goal.copy() if self.last is None else self._chase(goal, self.last, repeated)
        self._velocity = np.zeros(16) if self.last is None else (command - self.last) / PERIOD
        self.last = command
        return command.copy()

    def _chase(self, goal: Array, last: Array, repeated: bool) -> Array:
        """Return a command, (16,), no further from the last one than the joints may go.

        A fade that begins against the new driver's motion adds up to a little more than that; what
        is left out of one tick comes in the next.
        """
        far = np.abs(goal - last) > _STEP
        command = np.where(self._chasing & far, last + np.clip(goal - last, -_STEP, _STEP), goal)
        if not repeated:
            arrived = ~far
            if self._blend is not None:
                arrived[ARM_INDICES] = False
            self._chasing &= ~arrived
        return command
