# SPDX-License-Identifier: Apache-2.0
"""The learning curve of a fleet: how often its latest episodes succeeded, and without help.

What a policy does alone is to be seen in episodes that nobody took over: one that was rescued
counts as not succeeded there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lwd_bringup.loop.state import EpisodeFact
from lwd_rollout.statistics import wilson

WINDOW = 20
"""Episodes that a point of the curve is of: the interval is then about +-0.2."""
DISCARD = 'discard'


@dataclass(frozen=True)
class Rate:
    """A rate of success with its 95 % interval (Wilson)."""

    successes: int
    episodes: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """Return the rate; 0 without episodes."""
        return self.successes / self.episodes if self.episodes else 0.0


@dataclass(frozen=True)
class Point:
    """The latest episodes, at a moment."""

    seconds: float
    """When the last of them ended, s since the start."""
    rate: float
    low: float
    high: float
    episodes: int
    """How many there are: fewer than the window at the beginning."""


def rate(episodes: Iterable[EpisodeFact], *, alone: bool = False) -> Rate:
    """Return the rate of success of episodes; discarded ones do not count.

    Args:
        episodes: Finished ones.
        alone: Whether only a success without a take-over is one.
    """
    kept = [each for each in episodes if each.label != DISCARD]
    successes = sum(
        each.label == 'success' and not (alone and each.interventions) for each in kept)
    return Rate(successes, len(kept), *wilson(successes, len(kept)))


def learning_curve(
    episodes: Sequence[EpisodeFact], window: int = WINDOW, *, alone: bool = False,
) -> list[Point]:
    """Return a point for each finished episode, of the `window` newest ones then.

    Intervals are Wilson's, 95 %; discarded episodes do not count. The first points, of less than
    a quarter of the window, are left out: they say nothing.

    Args:
        episodes: Finished ones, in any order.
        window: How many make a point.
        alone: Whether only a success without a take-over is one.
    """
    newest: deque[EpisodeFact] = deque(maxlen=window)
    points = []
    for each in sorted(episodes, key=lambda one: one.ended):
        if each.label == DISCARD:
            continue
        newest.append(each)
        if 4 * len(newest) >= window:
            found = rate(newest, alone=alone)
            points.append(Point(
                each.ended, found.value, found.low, found.high, found.episodes))
    return points
