# SPDX-License-Identifier: Apache-2.0
"""Which robots there are, and what a new policy can be a difference to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class RobotReport:
    """What a robot said last."""

    running: str
    """Version of the policy that runs; empty if none."""
    stored: tuple[str, ...]
    """Versions on its shelf."""
    heard_at: float
    """Monotonic time, s."""
    refused: str = ''
    """Version that it refused last."""

    @property
    def has(self) -> frozenset[str]:
        """Versions that a delta may be made against."""
        return frozenset(self.stored)


class Fleet:
    """Robots by name. Those that have not been heard for a while do not count."""

    def __init__(
        self, *, silence: float = 10.0, clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start with no robot; `silence` is how long one may say nothing, s."""
        self._silence, self._clock = silence, clock
        self._reports: dict[str, RobotReport] = {}

    def report(
        self, robot: str, running: str, stored: Iterable[str], refused: str = '',
    ) -> None:
        """Hear of a robot."""
        self._reports[robot] = RobotReport(running, tuple(stored), self._clock(), refused)

    def running(self, robot: str) -> str:
        """Return the version that a robot runs; empty if that is not known."""
        report = self._reports.get(robot)
        return report.running if report else ''

    def live(self) -> dict[str, RobotReport]:
        """Return the robots that were heard of lately."""
        oldest = self._clock() - self._silence
        return {robot: report for robot, report in sorted(self._reports.items())
                if report.heard_at >= oldest}

    def lacking(self, version: str) -> list[str]:
        """Return the robots that neither have a version nor refused it."""
        return [robot for robot, report in self.live().items()
                if version not in report.has and version != report.refused]

    def plan(
        self, version: str, bases: Sequence[str], *, deltas: int,
    ) -> tuple[list[str], bool]:
        """Return how a version gets to the robots.

        Args:
            version: To be sent.
            bases: Versions that a delta can be made against, the best first.
            deltas: How many at most.

        Returns:
            (bases of the deltas to send, those that serve most robots first; whether the full
            weights are needed as well: for a robot that has no base, or if there is none yet).
        """
        robots = [report.has for report in self.live().values()]
        left = [has for has in robots if version not in has]
        chosen: list[str] = []
        while left and len(chosen) < deltas:
            best = max(bases, key=lambda base: sum(base in has for has in left), default='')
            if not any(best in has for has in left):
                break
            chosen.append(best)
            left = [has for has in left if best not in has]
        return chosen, bool(left) or not robots
