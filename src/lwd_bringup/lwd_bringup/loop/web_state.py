# SPDX-License-Identifier: Apache-2.0
"""What the web page is told of a fleet, as plain values for JSON."""

from __future__ import annotations

import copy
import math
import threading
from dataclasses import asdict, replace
from typing import Any

from lwd_bringup.loop.curve import WINDOW, learning_curve
from lwd_bringup.loop.state import EpisodeFact, FleetFact, quantile

_EPISODES = 12
"""Newest ones that are listed."""
_POLICIES = 12
_POINTS = 400
"""Of the learning curve; of a longer one every second, third, ... is told."""


class Shown:
    """A fact for other threads: a copy of what it was when it was put here."""

    def __init__(self) -> None:
        """Begin with a fleet that nothing is known of."""
        self._lock = threading.Lock()
        self._fact = FleetFact()

    def put(self, fact: FleetFact) -> None:
        """Keep a copy; call it where the fact is changed, not beside."""
        # Not deeper than what is changed later: there are thousands of episodes after hours.
        kept = replace(
            fact, robots={name: copy.copy(robot) for name, robot in fact.robots.items()},
            learner=copy.copy(fact.learner),
            policies=[replace(one, running=dict(one.running)) for one in fact.policies],
            episodes=[EpisodeFact(**vars(episode)) for episode in fact.episodes],
            warnings=dict(fact.warnings))
        with self._lock:
            self._fact = kept

    def __call__(self) -> FleetFact:
        """Return the newest copy."""
        with self._lock:
            return self._fact


def web_state(fact: FleetFact) -> dict[str, Any]:
    """Return what the page shows."""
    learner = asdict(fact.learner)
    learner['metrics'] = {
        name: value if math.isfinite(value) else None for name, value in
        fact.learner.metrics.items()}
    return {
        'seconds': fact.seconds,
        'robots': [asdict(robot) for robot in fact.robots.values()],
        'learner': learner,
        'policies': [asdict(policy) for policy in fact.policies[-_POLICIES:]],
        'swaps': [min(policy.running.values()) for policy in fact.policies[1:] if policy.running],
        'published': len(fact.policies),
        'episodes': [asdict(each) for each in fact.episodes[-_EPISODES:]],
        'finished': len(fact.episodes),
        'segments': fact.segments,
        'warnings': fact.warnings,
        'window': WINDOW,
        'curve': _curve(fact.episodes, alone=False),
        'alone': _curve(fact.episodes, alone=True),
        'upward': _spread(fact.upward()),
        'downward': _spread(fact.downward())}


def _curve(episodes: list[EpisodeFact], *, alone: bool) -> list[dict[str, Any]]:
    points = learning_curve(episodes, alone=alone)
    every = max(1, -(-len(points) // _POINTS))
    # From the end: the newest point is always there.
    return [asdict(point) for point in points[::-1][::every][::-1]]


def _spread(values: list[float]) -> dict[str, float | None]:
    return {'count': len(values), 'p50': quantile(values, 0.5), 'p99': quantile(values, 0.99)}
