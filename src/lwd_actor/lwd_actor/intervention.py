# SPDX-License-Identifier: Apache-2.0
"""Interventions: who took over, why, from when to when."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lwd_actor.reasons import Reason


@dataclass(frozen=True)
class InterventionState:
    """The content of lwd_msgs/Intervention but for its header."""

    active: bool = False
    reason: Reason = Reason.NONE
    number: int = 0
    """Counts up from 1; one number from take-over to hand-back."""
    begin_ns: int = 0
    """Of the take-over; 0 if there was none yet."""
    end_ns: int = 0
    """Of the hand-back; 0 while active."""
    episode_id: str = ''


class InterventionLog:
    """Follows who is in control and says when there is something to tell."""

    def __init__(self, *, every: int = 3) -> None:
        """Begin with nobody having taken over.

        Args:
            every: Ticks after which the state is told again without a change: 3 for 10 Hz.
        """
        self.state = InterventionState()
        self._every = every
        self._ticks = every

    def update(
        self, *, active: bool, reason: Reason, episode_id: str, now_ns: int,
    ) -> InterventionState | None:
        """Take in a tick; returns what to tell, None if it was told lately.

        Args:
            active: Whether the operator is in control.
            reason: Why.
            episode_id: Of the running episode.
            now_ns: The tick's stamp.
        """
        before = self.state
        if active and not before.active:
            self.state = InterventionState(
                True, reason, before.number + 1, now_ns, 0, episode_id)
        elif before.active and not active:
            # Told once with its reason; it stays to be read until the next take-over.
            self.state = replace(before, active=False, end_ns=now_ns)
        elif active and reason is not before.reason:
            self.state = replace(before, reason=reason)
        self._ticks += 1
        if self.state == before and self._ticks < self._every:
            return None
        self._ticks = 0
        return self.state
