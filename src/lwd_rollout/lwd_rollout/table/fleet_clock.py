# SPDX-License-Identifier: Apache-2.0
"""The clock of a fleet that is simulated one episode after the other.

Robots and learner work side by side: each robot begins its next episode when the last one is over
and the scene is set up again, with the newest policy then published; the learner begins a round
when enough new episodes are over and its last round is done, and publishes at the round's end.
Which of them is next is decided by when each begins, so that every episode and every round is
simulated with what was known then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Begun:
    """An episode that a robot begins."""

    robot: int
    number: int
    """Of the fleet's episodes, from 0."""
    time: float
    """s since the fleet was deployed."""
    version: int
    """Rounds whose policy was published by then."""


@dataclass(frozen=True)
class Round:
    """A round that the learner begins."""

    number: int
    time: float
    """When it begins, s."""
    published: float
    """When its policy is there, s."""
    episodes: int
    """That it trains on: the first so many that were over."""
    hours: float
    """Of robots at work by then, setting up included."""


@dataclass(frozen=True)
class Pace:
    """How long things take."""

    reset: float
    """Setting the scene up again, s."""
    round_seconds: float
    """Of the learner, s."""
    round_episodes: int
    """New episodes that a round waits for."""


def run_fleet(
    robots: int, pace: Pace, episode: Callable[[Begun], float],
    train: Callable[[Round, list[int]], bool],
) -> None:
    """Let a fleet deploy and learn until `train` says that it is enough.

    Args:
        robots: How many.
        pace: How long things take.
        episode: Runs an episode; returns how long it took, s.
        train: Trains a round on the episodes of these numbers, in the order in which they were
            over; returns whether to go on.
    """
    free = [0.0] * robots
    published: list[float] = []
    over: list[tuple[float, int]] = []
    """When each episode was over, and its number."""
    used, begun, learner_free = 0, 0, 0.0
    while True:
        next_robot = min(range(robots), key=lambda robot: free[robot])
        start = free[next_robot]
        over.sort()
        wanted = used + pace.round_episodes
        round_start = max(over[wanted - 1][0], learner_free) if len(over) >= wanted else None
        # Whatever begins later than that ends later, too: the round's data are known.
        if round_start is not None and round_start <= start:
            count = sum(end <= round_start for end, _ in over)
            learner_free = round_start + pace.round_seconds
            this = Round(len(published), round_start, learner_free, count,
                         robots * learner_free / 3600.0)
            published.append(learner_free)
            used = count
            if not train(this, [number for _, number in over[:count]]):
                return
            continue
        version = sum(time <= start for time in published)
        seconds = episode(Begun(next_robot, begun, start, version))
        over.append((start + seconds, begun))
        free[next_robot] = start + seconds + pace.reset
        begun += 1
