# SPDX-License-Identifier: Apache-2.0
"""What an algorithm is to the trainer: phases, the windows each needs, and one update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from lwd_data.replay.batch import Batch
from lwd_learner.td import Stage, TdConfig
from lwd_policy.policy import FlowPolicy
from lwd_policy.runtime import RuntimeConfig

Human = Literal['corrections', 'rescues']
"""corrections: what humans did in any episode. rescues: in those that succeeded, from 2 s after
they took over, when they have backed out of what was wrong."""
Windows = Literal['all', 'seen', 'held_out', 'good', 'corrections', 'rescues']
"""all: every window. good: successful demonstrations, and what a policy did in episodes that
succeeded, after the last correction. held_out: of one episode in twenty, always the same ones;
seen: of all others. And what humans did."""


@dataclass(frozen=True)
class Feed:
    """Windows that a phase draws in each update."""

    windows: Windows
    batch_size: int
    """Windows of all processes together."""
    n_steps: Mapping[str, int] = field(default_factory=dict)
    """Chunks of a window, by task; 1 where a task is not named."""
    online_ratio: float = 0.5
    """Part of the batch from the fleet, where there is both."""
    contexts: bool = False
    """Whether the policy looks at the windows' first observations: a frozen backbone need not do
    so twice."""
    every: int = 1
    """Updates to the next batch of it: what is only looked at need not be read each time."""


@dataclass(frozen=True)
class Phase:
    """So many updates of one kind."""

    name: str
    updates: int
    feeds: Mapping[str, Feed]
    """By name: what `update` is given."""
    gated: bool = False
    """Whether the critic must be shown to rank chunks before it begins."""


@dataclass(frozen=True)
class Facts:
    """What an algorithm may know of the data before it plans."""

    chunks: Mapping[str, float]
    """Median length of each task's successful episodes, in chunks."""
    human: Mapping[Human, int]
    """Windows that a human controlled."""
    td: TdConfig
    held_out: int = 0
    """Windows of held-out episodes."""


class Algorithm(Protocol):
    """One way to learn. What is trained, in which order, on what."""

    name: str
    fitted: bool
    """Whether the normalisation is known: fitted, or taken from another policy."""
    runtime: RuntimeConfig
    """How the policy is meant to be used: its condition, for one that is conditioned."""

    @property
    def policy(self) -> FlowPolicy:
        """What is published: its moving average if there is one."""

    def phases(self, stage: Stage, facts: Facts) -> list[Phase]:
        """Return what to do: once offline, in every round online."""

    def begin(self, phase: Phase) -> None:
        """Prepare for a phase: it is about to have its first update."""

    def update(self, phase: Phase, step: int, batches: Mapping[str, Batch]) -> dict[str, float]:
        """Make one update.

        Args:
            phase: Which.
            step: Number of the update over all phases: seeds its noise.
            batches: By the names of the phase's feeds.

        Raises:
            DivergedError: A loss is not finite.
        """

    def start_from(self, policy: FlowPolicy) -> None:
        """Take over weights and normalisation of a policy that was trained before."""

    def freeze_backbone(self, frozen: bool) -> None:
        """Keep the policy's backbone as it is from now on, or train it again; not the critic's."""

    def fit(self, batch: Batch) -> None:
        """Fit the normalisation to data, before anything else."""

    def state(self) -> dict[str, Any]:
        """Return all that is needed to go on to the same numbers."""

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
