# SPDX-License-Identifier: Apache-2.0
"""The driver's clock: wall time on a robot, virtual time in lockstep."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A clock that can be waited on; ns since the epoch of its kind."""

    virtual: bool

    def now_ns(self) -> int:
        """Return the time, ns."""

    def wait_until(self, moment_ns: int) -> None:
        """Return when the time has come."""


class WallClock:
    """System time, fixed once and carried on by the monotonic clock: it never jumps."""

    virtual = False

    def __init__(self) -> None:
        """Take the system's time."""
        self._offset = time.time_ns() - time.monotonic_ns()

    def now_ns(self) -> int:
        """Return the time, ns since 1970."""
        return time.monotonic_ns() + self._offset

    def wait_until(self, moment_ns: int) -> None:
        """Sleep until a moment."""
        left = moment_ns - self.now_ns()
        if left > 0:
            time.sleep(left / 1e9)


class VirtualClock:
    """Simulated time: waiting makes it pass."""

    virtual = True

    def __init__(self, start_ns: int = 0) -> None:
        """Start at a time, ns."""
        self._now = start_ns

    def now_ns(self) -> int:
        """Return the time, ns since the start of the simulation."""
        return self._now

    def wait_until(self, moment_ns: int) -> None:
        """Let the time come."""
        self._now = max(self._now, moment_ns)
