# SPDX-License-Identifier: Apache-2.0
"""Staged roll-out: whether the first robots' success lets a policy go to all of them."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal['wait', 'go', 'stop']


@dataclass(frozen=True)
class RolloutConfig:
    """How a new policy goes to the fleet."""

    first: int = field(default=0, metadata={'range': (0, 10_000)})
    """Robots that take it first, by their rank; 0: all at once."""
    episodes: int = field(default=20, metadata={'range': (1, 100_000)})
    """Of the first robots with it, before it goes to all."""
    significance: float = field(default=0.05, metadata={'range': (0.0, 1.0)})
    """It is taken back if success this low would come about with less than this probability,
    were it as good as what ran before."""
    baseline: int = field(default=200, metadata={'range': (1, 100_000)})
    """Newest episodes with other policies that it is compared with."""


def chance_of_so_few(successes: int, trials: int, other: int, other_trials: int) -> float:
    """Return the probability of so few successes or fewer, were both rates equal.

    One-sided exact test of Fisher (1922): with all N = n + m episodes and K successes given,
    P(X <= s) = sum_x C(n, x) C(m, K - x) / C(N, K).
    """
    total = successes + other
    ways = sum(math.comb(trials, x) * math.comb(other_trials, total - x)
               for x in range(max(0, total - other_trials), successes + 1))
    return ways / math.comb(trials + other_trials, total)


class Rollout:
    """Counts what comes of a staged policy."""

    def __init__(self, config: RolloutConfig | None = None) -> None:
        """Start with nothing known."""
        self.config = config or RolloutConfig()
        self.version = ''
        self._outcomes: list[bool] = []
        self._others: deque[bool] = deque(maxlen=self.config.baseline)

    def start(self, version: str) -> None:
        """Watch a policy that the first robots take now."""
        if version != self.version:
            self.version = version
            self._others.extend(self._outcomes)
            self._outcomes = []

    def outcome(self, version: str, *, success: bool) -> None:
        """Hear how an episode ended that ran with one policy throughout."""
        if version == self.version:
            self._outcomes.append(success)
        else:
            self._others.append(success)

    def verdict(self) -> Verdict:
        """Return whether it goes to all robots, is taken back, or more episodes are needed."""
        if len(self._outcomes) < self.config.episodes:
            return 'wait'
        chance = chance_of_so_few(
            sum(self._outcomes), len(self._outcomes), sum(self._others), len(self._others))
        return 'stop' if chance < self.config.significance else 'go'

    def describe(self) -> str:
        """Return the figures behind the verdict."""
        return (f'{sum(self._outcomes)} of {len(self._outcomes)} episodes succeeded, with other '
                f'policies {sum(self._others)} of {len(self._others)}')
