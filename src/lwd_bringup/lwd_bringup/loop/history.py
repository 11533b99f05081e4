# SPDX-License-Identifier: Apache-2.0
"""What a run's folder tells of its fleet: all its starts as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lwd_bringup.loop.state import (
    EpisodeFact,
    FleetFact,
    LearnerFact,
    PolicyFact,
    RobotFact,
)
from lwd_bringup.loop.timeline import rows


@dataclass(frozen=True)
class Refusal:
    """A robot did not take a policy."""

    seconds: float
    """Since the first start."""
    robot: str
    reason: str


@dataclass
class History:
    """A fleet over all starts of a run; every time is in s since the first one."""

    fact: FleetFact = field(default_factory=FleetFact)
    """Totals, every episode and policy; the rest as it was last."""
    refusals: list[Refusal] = field(default_factory=list)
    upward: list[float] = field(default_factory=list)
    """From the end of each episode until the learner could sample it, s."""
    downward: list[float] = field(default_factory=list)
    """From each publication until each robot ran it, s."""
    starts: int = 0
    unreadable: int = 0
    """Lines that were cut short, or are of another version."""


class _Start:
    """One start of a run, put together from its lines."""

    def __init__(self, before: float) -> None:
        self.before = before
        self.fact = FleetFact()
        self._episodes: dict[str, EpisodeFact] = {}
        self._policies: dict[str, PolicyFact] = {}
        self.refused: dict[str, int] = {}

    def goes_on(self, before: float, fact: FleetFact) -> bool:
        """Whether a line is of this start and not of the next."""
        return before == self.before and fact.seconds >= self.fact.seconds

    def add(self, fact: FleetFact) -> None:
        """Take a line: it has the episodes and policies that are new, or changed."""
        self._episodes.update((each.episode, each) for each in fact.episodes)
        self._policies.update((each.version, each) for each in fact.policies)
        self.fact = fact

    def whole(self) -> FleetFact:
        """Return all that was known at its end."""
        return replace(self.fact, episodes=list(self._episodes.values()),
                       policies=list(self._policies.values()))


def read(timeline: Path) -> History:
    """Read what was known of a fleet, over all starts.

    Args:
        timeline: JSON lines, as lwd_bringup.loop.timeline writes them.

    Raises:
        BringupError: The file cannot be read.
    """
    history = History()
    start: _Start | None = None
    for row in rows(timeline):
        try:
            before = float(row['before'])
            fact = fact_of({key: value for key, value in row.items() if key != 'before'})
        except (KeyError, TypeError, ValueError, AttributeError):
            history.unreadable += 1
            continue
        if start is None or not start.goes_on(before, fact):
            if start is not None:
                _add(history, start.before, start.whole())
            start = _Start(before)
        for robot in fact.robots.values():
            if robot.refused > start.refused.get(robot.name, 0):
                history.refusals.append(Refusal(
                    before + fact.seconds, robot.name, robot.refusal or 'no reason given'))
            start.refused[robot.name] = robot.refused
        start.add(fact)
    if start is not None:
        _add(history, start.before, start.whole())
    return history


def fact_of(content: Mapping[str, Any]) -> FleetFact:
    """Return what `dataclasses.asdict` made of a FleetFact as one again.

    Raises:
        TypeError, AttributeError: It is of another version, or nothing of the kind.
    """
    return FleetFact(**{
        **content,
        'robots': {name: RobotFact(**robot) for name, robot in content['robots'].items()},
        'learner': LearnerFact(**content['learner']),
        'policies': [PolicyFact(**policy) for policy in content['policies']],
        'episodes': [EpisodeFact(**episode) for episode in content['episodes']]})


def _add(history: History, before: float, fact: FleetFact) -> None:
    """Add a start, as it was known last."""
    history.starts += 1
    history.upward += fact.upward()
    history.downward += fact.downward()
    whole = history.fact
    whole.seconds = before + fact.seconds
    whole.learner, whole.warnings = fact.learner, fact.warnings
    # Not added up: what nobody had answered is announced again in the next start.
    whole.segments = fact.segments
    for name, robot in fact.robots.items():
        known = whole.robots.get(name, RobotFact(name))
        whole.robots[name] = replace(robot, **{
            key: getattr(known, key) + getattr(robot, key)
            for key in ('steps', 'episodes', 'successes', 'interventions', 'swaps', 'refused',
                        'starved')})
    for episode in fact.episodes:
        whole.episodes.append(replace(
            episode, ended=before + episode.ended,
            sampleable=before + episode.sampleable if episode.sampleable >= 0 else -1.0))
    # The newest policy of one start is offered again in the next.
    known_policies = {policy.version: policy for policy in whole.policies}
    for policy in fact.policies:
        known_policy = known_policies.get(policy.version)
        if known_policy is None:
            known_policy = replace(
                policy, number=len(whole.policies) + 1, published=before + policy.published,
                running={})
            whole.policies.append(known_policy)
        for name, moment in policy.running.items():
            known_policy.running.setdefault(name, before + moment)
