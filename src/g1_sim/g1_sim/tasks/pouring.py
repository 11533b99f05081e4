# SPDX-License-Identifier: Apache-2.0
"""Subtasks that take time, such as pouring: the time counts up while it is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from g1_sim.tasks.stages import Stage, StagedJudge
from g1_sim.world import World

Array = NDArray[np.float64]

POUR_STEPS = 21
"""Control steps, 0.7 s, that make a pouring."""


class Pouring:
    """Progress of a subtask that is done once something has held for so many control steps.

    They need not be in a row. It is to be called once a control step, as a StagedJudge does.
    """

    def __init__(self, pours: Callable[[World], bool], steps: int = POUR_STEPS) -> None:
        """Count from zero.

        Args:
            pours: Whether it is being done in the world as it is now.
            steps: Control steps that it takes.
        """
        self._pours, self._steps = pours, steps
        self.count = 0

    def __call__(self, world: World) -> float:
        """Return 1 if it is done, 0.5 if half of it is, else 0."""
        if self.count < self._steps and self._pours(world):
            self.count += 1
        return 1.0 if self.count >= self._steps else 0.5 if 2 * self.count > self._steps else 0.0


class PouringJudge(StagedJudge):
    """A StagedJudge that also remembers how far its pourings are."""

    def __init__(
        self, world: World, stages: Sequence[Stage], *, time_limit: float,
        lost: Callable[[World], str] = lambda _: '', settle: int = 8,
    ) -> None:
        """Watch a world from its start; see StagedJudge."""
        super().__init__(world, stages, time_limit=time_limit, lost=lost, settle=settle)
        self._pourings = [s.progress for s in stages if isinstance(s.progress, Pouring)]

    def memory(self) -> Array:
        """Return the judge's memory and the counts of the pourings."""
        return np.array([*super().memory(), *(float(p.count) for p in self._pourings)])

    def recall(self, memory: Array) -> None:
        """Take back what `memory` returned."""
        split = len(memory) - len(self._pourings)
        super().recall(memory[:split])
        for pouring, count in zip(self._pourings, memory[split:]):
            pouring.count = int(count)
