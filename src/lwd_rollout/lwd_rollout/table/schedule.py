# SPDX-License-Identifier: Apache-2.0
"""Runs the graph of cells over processes: what lies on the longest chain first."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait

from lwd_data.replay.catalogue import Catalogue
from lwd_rollout.pool import MANIFEST
from lwd_rollout.pool_make import make
from lwd_rollout.pool_plan import PoolPlan
from lwd_rollout.table.estimate import Estimate, in_words
from lwd_rollout.table.graph import Job, jobs, urgency
from lwd_rollout.table.layout import TRAINED, Layout
from lwd_rollout.table.worker import Ended, Running, do

Say = Callable[[str], None]


def run(layout: Layout, *, processes: int = 0, here: bool = False,
        say: Say = lambda _: None) -> dict[str, str]:
    """Do all that is still to be done of a comparison.

    Args:
        layout: Its folder; the protocol is fixed there first.
        processes: How many; 0 for one a core.
        here: Whether to work in this process, one job after the other.
        say: Takes what an operator should read.

    Returns:
        Why not, by the names of the jobs that could not be done.

    Raises:
        TableError: The folder is of another protocol, or another process works in it.
        RolloutError, DataError: The pool cannot be made or read.
    """
    processes = processes or os.cpu_count() or 1
    with layout.locked():
        layout.freeze()
        prepare(layout, processes=processes, say=say)
        planned = jobs(layout.protocol, layout.added)
        waiting = [job for job in planned if not is_done(layout, job)]
        say(f'{len(planned) - len(waiting)} of {len(planned)} jobs are done already')
        return Schedule(layout, planned, waiting, processes, say).run(here=here)


def prepare(layout: Layout, *, processes: int, say: Say) -> None:
    """Make the pool and its catalogue, as far as they are not there."""
    protocol, pool = layout.protocol, layout.pool
    if not (pool / MANIFEST).is_file():
        say(f'making a pool of {protocol.pool.hours:g} hours in {pool}')
        make(pool, PoolPlan(
            hours=protocol.pool.hours, tasks=protocol.task_names,
            first_seed=protocol.pool.first_seed, cameras=protocol.cameras,
            image_size=protocol.train.policy.image_size), processes=processes)
    with Catalogue(layout.replay) as catalogue:
        catalogue.add_folder(pool, origin='offline', processes=processes)


def is_done(layout: Layout, job: Job) -> bool:
    """Return whether a job's result is there.

    Raises:
        TableError: It is of another protocol.
    """
    if job.kind == 'train':
        file = layout.cell(job.method, job.seed) / TRAINED
    elif job.kind == 'score':
        file = layout.scores(job.method, job.seed, job.task, job.noise, job.best_of)
    else:
        file = layout.branches(job.method, job.seed)
    return layout.read(file) is not None


class Schedule:
    """What is waiting, what runs, and what failed."""

    def __init__(
        self, layout: Layout, planned: Sequence[Job], waiting: Sequence[Job], processes: int,
        say: Say,
    ) -> None:
        """Plan.

        Args:
            layout: Of the comparison.
            planned: All jobs.
            waiting: Those that are not done.
            processes: How many work at once.
            say: Takes what an operator should read.
        """
        self._layout, self._planned, self._say = layout, planned, say
        self._processes = processes
        self._waiting = {job.name: job for job in waiting}
        self._estimate = Estimate(layout.folder / 'seconds.json')
        self._running: list[Running] = []
        self._began: dict[str, float] = {}
        self.failures: dict[str, str] = {}

    def run(self, *, here: bool = False) -> dict[str, str]:
        """Do everything; returns why what could not be done could not."""
        try:
            while self._waiting or self._running:
                job = self._next() if here or len(self._running) < self._processes else None
                if job is not None:
                    del self._waiting[job.name]
                    self._began[job.name] = time.monotonic()
                    if here:
                        self._end(job, do(self._layout, job))
                    else:
                        self._running.append(Running(self._layout, job))
                elif self._running:
                    ready = wait([one.pipe for one in self._running])
                    for one in [one for one in self._running if one.pipe in ready]:
                        self._running.remove(one)
                        self._end(one.job, one.ended())
                else:
                    self._give_up()
        finally:
            for one in self._running:
                one.stop()
        return self.failures

    def _next(self) -> Job | None:
        """Return the most urgent job whose needs are done; None if there is none."""
        unfinished = {*self._waiting, *self.failures, *(one.job.name for one in self._running)}
        ready = [job for job in self._waiting.values() if unfinished.isdisjoint(job.needs)]
        if not ready:
            return None
        chains = urgency(self._planned, {
            job.name: self._estimate.seconds(job) for job in self._planned})
        return max(ready, key=lambda job: chains[job.name])

    def _end(self, job: Job, ended: Ended) -> None:
        self._estimate.add(ended.spent)
        took = in_words(time.monotonic() - self._began.pop(job.name))
        if ended.error:
            self.failures[job.name] = ended.error
            self._say(f'failed: {job.name}: {ended.error}')
            return
        todo = [*self._waiting.values(), *(one.job for one in self._running)]
        left = in_words(self._estimate.left(todo, self._processes))
        done = len(self._planned) - len(todo) - len(self.failures)
        self._say(f'[{done}/{len(self._planned)}] {job.name}, {took}; about {left} left')

    def _give_up(self) -> None:
        """Everything that still waits needs what failed."""
        for job in self._waiting.values():
            missing = ', '.join(name for name in job.needs
                                if name in self.failures or name in self._waiting)
            self.failures[job.name] = f'it needs what could not be done: {missing}'
        self._waiting.clear()
