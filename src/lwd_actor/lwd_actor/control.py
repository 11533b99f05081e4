# SPDX-License-Identifier: Apache-2.0
"""Whether the robot does what a policy proposes, by what arbiter and driver say of past ticks."""

from __future__ import annotations

from lwd_actor.proposal import Source
from lwd_msgs.msg import ExecutedCommand

_OVERLOOKED = 3


class Control:
    """Follows who is in control, for the policy.

    While an operator has control, or the robot is stopped or on its way home, a policy plans
    nothing; what it had planned before is stale.
    """

    def __init__(self) -> None:
        """Begin with nobody in control."""
        self.tick = -1
        """The newest tick of which it is known who was in control."""
        self._source = Source.HOLD
        self._overlooked = 0

    def decided(self, tick: int, source: int, *, proposed: bool) -> None:
        """Take what the arbiter decided for a tick.

        Args:
            tick: Its number.
            source: Who was in control.
            proposed: Whether the policy had proposed a command for it.
        """
        self.tick, self._source = tick, Source(source)
        held = self._source is Source.HOLD
        self._overlooked = self._overlooked + 1 if held and proposed else 0

    def restart(self) -> None:
        """Forget what was before a reset."""
        self.tick, self._source, self._overlooked = -1, Source.HOLD, 0

    def theirs(self, executed: ExecutedCommand | None) -> str:
        """Return who has the robot if it is not the policy's to drive; empty if it is."""
        if self._source in (Source.TELEOP, Source.EXPERT, Source.ESTOP):
            return self._source.name.lower()
        if executed is not None:
            if executed.state == ExecutedCommand.STATE_ESTOP:
                return 'estop'
            if executed.state == ExecutedCommand.STATE_HOMING:
                return 'homing'
            if executed.hold_reason == ExecutedCommand.HOLD_FAULT:
                return 'fault'
        return ''

    @property
    def ignored(self) -> bool:
        """Whether the arbiter holds though the policy proposes: an operator went silent."""
        return self._overlooked >= _OVERLOOKED
