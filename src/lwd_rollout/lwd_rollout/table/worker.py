# SPDX-License-Identifier: Apache-2.0
"""One job in a process of its own: what it needs is in files, and so is what it leaves."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait

from lwd_data.errors import DataError
from lwd_learner.errors import LearnerError
from lwd_policy.errors import PolicyError
from lwd_rollout.errors import RolloutError
from lwd_rollout.table.estimate import Spent
from lwd_rollout.table.graph import Job
from lwd_rollout.table.layout import Layout


@dataclass(frozen=True)
class Ended:
    """What came of a job."""

    spent: Spent = field(default_factory=dict)
    error: str = ''
    """Empty if it is done."""


def do(layout: Layout, job: Job) -> Ended:
    """Do a job here; an error that says what is wrong is returned, others are raised."""
    from lwd_rollout.table import score, train
    try:
        if job.kind == 'train':
            return Ended(train.train(layout, job.method, job.seed))
        test = {'score': score.score, 'branch': score.branch, 'judge': score.judge}
        return Ended(test[job.kind](layout, job))
    except (DataError, LearnerError, PolicyError, RolloutError) as error:
        return Ended(error=str(error))


class Running:
    """A job in a process that dies with this one."""

    def __init__(self, layout: Layout, job: Job) -> None:
        """Start it."""
        context = multiprocessing.get_context('spawn')
        self.job = job
        self.pipe, theirs = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_work, args=(layout, job, theirs), name=job.name, daemon=True)
        self._process.start()
        theirs.close()

    def ended(self) -> Ended:
        """Return what came of it, once its pipe has something to read."""
        try:
            found: Ended = self.pipe.recv()
        except EOFError:
            self._process.join()
            found = Ended(error=f'its process ended with {self._process.exitcode}, without a '
                                'word: out of memory, or killed')
        self.pipe.close()
        self._process.join()
        return found

    def stop(self) -> None:
        """End the process; its job can be gone on with."""
        self._process.terminate()
        self._process.join()
        self.pipe.close()


def _work(layout: Layout, job: Job, pipe: Connection) -> None:
    threading.Thread(target=_die_with_parent, daemon=True).start()
    # Ctrl-C goes to the whole group: who started this process ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import torch
    torch.set_num_threads(1)
    try:
        ended = do(layout, job)
    except Exception:  # noqa: BLE001  whatever it is: one cell is lost, the others go on
        ended = Ended(error=traceback.format_exc())
    pipe.send(ended)
    pipe.close()


def _die_with_parent() -> None:
    """End this process with the one that started it: two must never work on one cell."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101  this runs in a child only
    wait([parent.sentinel])
    os._exit(1)
