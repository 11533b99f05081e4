# SPDX-License-Identifier: Apache-2.0
"""How fast, and how soon again: a limit of bytes a second, and waits that grow with failures."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

_BURST_S = 0.25


class Backoff:
    """Waits between attempts: they double up to a limit, each drawn from its upper half.

    The draw keeps a fleet that lost its network from coming back all at once.
    """

    def __init__(self, first: float = 0.5, longest: float = 60.0) -> None:
        """Begin without a failure.

        Args:
            first: The first wait, s.
            longest: The longest wait, s.
        """
        self._first, self._longest = first, longest
        self.failures = 0
        """In a row."""

    def failed(self) -> float:
        """Return how long to wait now, s."""
        # Bounded before the power: days offline are thousands of failures.
        limit = min(self._longest, self._first * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return limit * random.uniform(0.5, 1.0)

    def succeeded(self) -> None:
        """Begin anew."""
        self.failures = 0


class Limit:
    """Lets bytes through at a rate."""

    def __init__(
        self, rate: float, *, clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Begin with nothing saved up.

        Args:
            rate: Bytes a second; 0: no limit.
            clock: Monotonic, s.
            sleep: Waits so many seconds.
        """
        self._rate, self._clock, self._sleep = rate, clock, sleep
        self._free_at = clock()

    def take(self, count: int) -> None:
        """Wait until so many bytes may go."""
        if not self._rate:
            return
        now = self._clock()
        # What was not used in the past is not made up for, but for a moment.
        self._free_at = max(self._free_at, now - _BURST_S) + count / self._rate
        if self._free_at > now:
            self._sleep(self._free_at - now)
