# SPDX-License-Identifier: Apache-2.0
"""Judging a task of several subtasks that are to be done in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from g1_sim.tasks.base import Terminal, Verdict
from g1_sim.world import World

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Stage:
    """One subtask."""

    name: str
    progress: Callable[[World], float]
    """How far it is, seen from the world as it is now: 0, 0.5 (half done) or 1 (done)."""
    lasting: bool = True
    """Whether it must stay so to the end: a lid stays closed, a pouring is over when done."""


class StagedJudge:
    """Scores each stage 0, 0.5 or 1; the task's score is their mean.

    A stage counts only once all before it are done, so that doing things in the wrong order earns
    nothing. A lasting stage that is undone loses its score again until it is redone. Success is
    all stages at 1 for `settle` control steps; failure is what `lost` reports; else time runs out.
    """

    def __init__(
        self, world: World, stages: Sequence[Stage], *, time_limit: float,
        lost: Callable[[World], str] = lambda _: '', settle: int = 8,
    ) -> None:
        """Watch a world from its start.

        Args:
            world: The world.
            stages: The subtasks, in order.
            time_limit: s.
            lost: Returns why the task cannot be done any more, or an empty string.
            settle: Control steps for which all must be done.
        """
        self._world, self._stages, self._limit = world, tuple(stages), time_limit
        self._lost, self._settle = lost, settle
        self._scores = np.zeros(len(self._stages))
        self._still = 0

    def update(self) -> Verdict:
        """Return the verdict on the world as it is now."""
        for i, stage in enumerate(self._stages):
            if np.any(self._scores[:i] < 1.0):
                # Not its turn yet; what it had earned before an earlier stage was undone stays.
                break
            progress = stage.progress(self._world)
            if stage.lasting or progress > self._scores[i]:
                self._scores[i] = progress
        done = bool(np.all(self._scores >= 1.0))
        self._still = self._still + 1 if done else 0
        if self._still >= self._settle:
            return self._verdict(Terminal.SUCCESS, 'all subtasks are done')
        why = self._lost(self._world)
        if why:
            return self._verdict(Terminal.FAILURE, why)
        if self._world.time >= self._limit - 1e-6:
            at = int(np.argmin(self._scores))
            return self._verdict(
                Terminal.TIMEOUT, f'{self._stages[at].name} not done after {self._limit:g} s')
        return self._verdict(Terminal.NONE, '')

    def _verdict(self, terminal: Terminal, detail: str) -> Verdict:
        scores = tuple(float(score) for score in self._scores)
        return Verdict(terminal, float(np.mean(self._scores)), scores, detail)

    def memory(self) -> Array:
        """Return the scores so far and how long all has been done, (stages + 1,)."""
        return np.array([*self._scores, float(self._still)])

    def recall(self, memory: Array) -> None:
        """Take back what `memory` returned."""
        self._scores = np.array(memory[:-1], dtype=np.float64)
        self._still = int(memory[-1])
