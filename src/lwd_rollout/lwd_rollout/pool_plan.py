# SPDX-License-Identifier: Apache-2.0
"""What a pool of episodes is to hold.

The mixture is the article's, by hours: 51.6 % expert demonstrations, 34.8 % failures, the rest
successful rollouts and play. Each task gets the same hours. A pool is made of cells, one a task
and kind; a cell is a fixed sequence of seeds, so that a pool can be interrupted, resumed, and made
by any number of processes, and still comes out the same byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from g1_sim import tasks
from g1_sim.errors import SimError
from lwd_rollout.errors import PoolError

MIXTURE = {'expert': 0.516, 'failed': 0.348, 'rollout': 0.086, 'play': 0.05}
"""Shares of the hours. Expert and failed are the article's; how it divides the rest is unknown."""
VERSION = 1


@dataclass(frozen=True)
class PoolPlan:
    """What a pool is to hold."""

    hours: float = 1.0
    """Of robot time, all tasks together."""
    tasks: tuple[str, ...] = ()
    """Names; empty for all."""
    distribution: str = 'train'
    first_seed: int = 0
    """Within the split `pool`; pools with seeds in common hold episodes in common."""
    severity: float = 1.0
    """Of the flaws of failed and successful rollouts; see g1_sim.experts.flaws."""
    demonstration_severity: float = 0.25
    """Of the flaws of demonstrations: operators are not clean either, and succeed all the same."""
    cameras: tuple[str, ...] = ()
    """What the robot sees; none by default: joints and privileged scene features only."""
    image_size: int = 128
    max_draws: int = 60
    """So many rollouts in a row may come out otherwise than their kind says."""
    version: int = VERSION

    def __post_init__(self) -> None:
        if not 0.0 < self.hours <= 10_000.0:
            raise PoolError(f'hours is {self.hours}; it must be above 0, at most 10000')
        for name in self.tasks:
            try:
                tasks.get(name)
            except SimError as error:
                raise PoolError(str(error)) from error

    @property
    def task_names(self) -> tuple[str, ...]:
        """The tasks, all of them if none are named."""
        return self.tasks or tuple(tasks.TASKS)


@dataclass(frozen=True)
class ImportPlan:
    """What a pool of imported episodes holds."""

    tasks: tuple[str, ...]
    imported: Mapping[str, Mapping[str, Any]]
    """By data set: its mapping, and with what settings it was imported."""

    @property
    def task_names(self) -> tuple[str, ...]:
        """The tasks."""
        return self.tasks


@dataclass(frozen=True)
class Cell:
    """One task and kind, filled from a sequence of its own seeds."""

    task: str
    kind: str
    index: int
    seconds: float
    """Of robot time to fill."""


def cells(plan: PoolPlan) -> list[Cell]:
    """Return the cells of a plan, the longest first so that processes end together."""
    seconds = plan.hours * 3600.0 / len(plan.task_names)
    # The index, and with it the seeds, depends on the task, not on which others are chosen.
    indices = {
        pair: i for i, pair in enumerate(
            (task, kind) for task in sorted(tasks.TASKS) for kind in MIXTURE)}
    found = [
        Cell(task, kind, indices[task, kind], seconds * share)
        for task in plan.task_names for kind, share in MIXTURE.items()]
    return sorted(found, key=lambda cell: (-cell.seconds, cell.index))
