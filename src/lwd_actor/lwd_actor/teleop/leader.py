# SPDX-License-Identifier: Apache-2.0
"""Leader arms: a second pair of arms that the operator moves and the robot copies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from g1_description.joints import ARM_INDICES, COMMAND_NAMES, GRIPPER_INDICES
from g1_driver.safety.blend import Blend, BlendLimits
from lwd_actor.errors import TeleopError

Array = NDArray[np.float64]

_PLACE = {name: i for i, name in enumerate(COMMAND_NAMES)}
# A leader need not have grippers: those then stay as they are.
_NEEDED = [COMMAND_NAMES[i] for i in ARM_INDICES]
# As the safety filter blends: gentle to the eye, a second for half a radian.
_BLEND = BlendLimits(np.full(16, 1.0), np.full(16, 4.0), np.full(16, 20.0))


class LeaderArms:
    """Where the leader arms point the robot, from wherever the robot is.

    At take-over the robot is somewhere else than the leader. That offset fades out, so that the
    robot first moves along with the leader and ends up as the leader is.
    """

    def __init__(self, *, timeout: float) -> None:
        """Wait for the leader.

        Args:
            timeout: Age from which on its newest joint state counts as lost, s.
        """
        self._timeout_ns = round(timeout * 1e9)
        self._positions = np.full(16, np.nan)
        self._heard_ns: int | None = None
        self._blend: Blend | None = None
        self._begun_ns = 0

    def take(self, names: Sequence[str], positions: Sequence[float], now_ns: int) -> None:
        """Take a joint state of the leader.

        Args:
            names: Joints, as the robot names them; others are left aside.
            positions: rad; grippers 0 (open) .. 1 (closed).
            now_ns: When it came, in the robot's time.

        Raises:
            TeleopError: An arm joint is missing, or a position is not finite.
        """
        if len(names) != len(positions):
            raise TeleopError(
                f'the leader sent {len(positions)} positions for {len(names)} names')
        given = dict(zip(names, positions))
        for name in _NEEDED:
            if name not in given:
                raise TeleopError(
                    f'the leader lacks {name}; give its joints the names that lwd layout lists')
        for name, value in given.items():
            if name in _PLACE and not np.isfinite(value):
                raise TeleopError(f'{name} of the leader is {value}')
        for name, value in given.items():
            if name in _PLACE:
                self._positions[_PLACE[name]] = value
        self._heard_ns = now_ns

    def lost(self, now_ns: int) -> bool:
        """Whether the leader was not heard for too long, or never."""
        return self._heard_ns is None or now_ns - self._heard_ns > self._timeout_ns

    def let_go(self) -> None:
        """Stop copying; the next `aim` begins with a new blend."""
        self._blend = None

    def aim(self, command: Array, now_ns: int) -> Array:
        """Return where the robot is to go, (16,).

        Args:
            command: (16,) where its command stands now; the blend begins from there.
            now_ns: The robot's time.
        """
        leader = np.where(np.isfinite(self._positions), self._positions, command)
        leader[GRIPPER_INDICES] = np.clip(leader[GRIPPER_INDICES], 0.0, 1.0)
        if self._blend is None:
            self._blend = Blend(command - leader, np.zeros(16), _BLEND)
            self._begun_ns = now_ns
        return leader + self._blend.at((now_ns - self._begun_ns) / 1e9)
