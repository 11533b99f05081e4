# SPDX-License-Identifier: Apache-2.0
"""What is known of a running fleet: plain data, for the terminal, the web page and the report."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class EpisodeFact:
    """One finished episode."""

    robot: str
    episode: str
    task: str
    label: str
    """success, failure, timeout or discard."""
    score: float
    versions: list[str]
    """Policies that were in control in it, in order."""
    interventions: int
    """Take-overs in it."""
    ended: float
    """When the monitor heard of its label, s since the start."""
    sampleable: float = -1.0
    """When the learner could draw from it, s since the start; -1: not yet."""


@dataclass
class RobotFact:
    """One robot, now."""

    name: str
    task: str = ''
    instruction: str = ''
    episode: str = ''
    """Running now; empty between two."""
    steps: int = 0
    """Control steps since the start."""
    control: str = 'hold'
    """Who is in control: policy, teleop, hold, expert, estop."""
    version: str = ''
    """Of the policy that runs."""
    pending: str = ''
    """Being received."""
    episodes: int = 0
    successes: int = 0
    interventions: int = 0
    """Take-overs since the start, in the running episode and between two as well."""
    swaps: int = 0
    """New versions that came to run since the start."""
    refused: int = 0
    refusal: str = ''
    inference_p50: float = 0.0
    """s."""
    starved: int = 0
    waiting: int = 0
    """Episodes in its spool that the learner has not confirmed, as its uploader says."""


@dataclass
class PolicyFact:
    """One published policy."""

    number: int
    version: str
    update: int
    snapshot: str
    published: float
    """s since the start."""
    running: dict[str, float] = field(default_factory=dict)
    """By robot: when it first ran there, s since the start."""


@dataclass
class LearnerFact:
    """The learner, now."""

    state: str = 'starting'
    """starting, training, waiting, stopped or fault."""
    algorithm: str = ''
    update: int = 0
    snapshot: str = ''
    episodes: int = 0
    windows: int = 0
    publications: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    detail: str = ''


@dataclass
class FleetFact:
    """All of it."""

    seconds: float = 0.0
    """Since the start."""
    robots: dict[str, RobotFact] = field(default_factory=dict)
    learner: LearnerFact = field(default_factory=LearnerFact)
    policies: list[PolicyFact] = field(default_factory=list)
    episodes: list[EpisodeFact] = field(default_factory=list)
    segments: int = 0
    """Announced as uploaded."""
    warnings: dict[str, str] = field(default_factory=dict)
    """By node: what its diagnostics complain about."""

    def upward(self) -> list[float]:
        """Return the seconds from the end of each episode until the learner could sample it."""
        return [each.sampleable - each.ended for each in self.episodes if each.sampleable >= 0]

    def downward(self) -> list[float]:
        """Return the seconds from each publication until each robot ran it, where one did."""
        return [moment - policy.published
                for policy in self.policies[1:] for moment in policy.running.values()]


def quantile(values: list[float], part: float) -> float | None:
    """Return a quantile of some values; None if there are none."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(part * (len(ordered) - 1)))]
