# SPDX-License-Identifier: Apache-2.0
"""Judging what takes time: how long something was poured, how far something was shaken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from g1_sim.tasks.base import Verdict
from g1_sim.tasks.stages import Stage, StagedJudge
from g1_sim.world import World

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Gauge:
    """Adds up a quantity over the control steps of an episode."""

    rate: Callable[[World], float]
    """What a control step adds, seen from the world at its end."""
    stage: str = ''
    """It counts only while this stage is the one to be done; empty for always."""


class Levels:
    """The levels of gauges, by name; stages read them."""

    def __init__(self, names: Sequence[str]) -> None:
        """Start all at 0."""
        self._at = {name: i for i, name in enumerate(names)}
        self.values = np.zeros(len(self._at))

    def __getitem__(self, name: str) -> float:
        """Return the level of a gauge."""
        return float(self.values[self._at[name]])


class GaugedJudge(StagedJudge):
    """A StagedJudge some of whose stages depend on gauges, which it remembers."""

    def __init__(
        self, world: World, stages: Sequence[Stage], gauges: Mapping[str, Gauge],
        levels: Levels, *, time_limit: float, lost: Callable[[World], str],
    ) -> None:
        """Watch a world from its start.

        Args:
            world: The world.
            stages: The subtasks, in order; their progress may read `levels`.
            gauges: What is added up, in the order of the names that `levels` was made with.
            levels: Where it is added up.
            time_limit: s.
            lost: Returns why the task cannot be done any more; may read `levels`.
        """
        super().__init__(world, stages, time_limit=time_limit, lost=lost)
        self._gauges, self._levels = tuple(gauges.values()), levels

    def update(self) -> Verdict:
        """Return the verdict on the world as it is now."""
        undone = np.flatnonzero(self._scores < 1.0)
        now = self._stages[undone[0]].name if undone.size else ''
        for i, gauge in enumerate(self._gauges):
            if gauge.stage in ('', now):
                self._levels.values[i] += gauge.rate(self._world)
        return super().update()

    def memory(self) -> Array:
        """Return the levels, then what a StagedJudge remembers."""
        return np.concatenate([self._levels.values, super().memory()])

    def recall(self, memory: Array) -> None:
        """Take back what `memory` returned."""
        count = len(self._gauges)
        self._levels.values[:] = memory[:count]
        super().recall(memory[count:])
