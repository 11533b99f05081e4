# SPDX-License-Identifier: Apache-2.0
"""How long is left: work still to be done, at the pace of what was done so far."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from g1_sim import tasks
from lwd_rollout.pool import write_json
from lwd_rollout.table.graph import Job

_UPDATE = {'sft': 0.09, 'hg_dagger': 0.1, 'recap': 0.15, 'lwd': 0.3, 'iql_qam': 0.3}
"""Seconds an update on one core, default networks and batches, until the pace is known."""
_EPISODE, _RECORDED = 0.04, 0.08
"""Seconds an episode, for each second of its time limit."""

Spent = dict[str, list[float]]
"""Kind of work -> [how much was done, seconds that it took]."""


def note(spent: Spent, kind: str, units: float, seconds: float) -> None:
    """Add to what was spent."""
    known = spent.setdefault(kind, [0.0, 0.0])
    known[0], known[1] = known[0] + units, known[1] + seconds


class Estimate:
    """Keeps the pace of each kind of work, over restarts."""

    def __init__(self, file: Path) -> None:
        """Go on with what the file says, if it is there."""
        self._file = file
        self._done: Spent = defaultdict(lambda: [0.0, 0.0])
        if file.is_file():
            try:
                self._done.update(json.loads(file.read_text(encoding='utf-8')))
            except (json.JSONDecodeError, ValueError):
                # It only serves the estimate: what was lost is measured again.
                self._done.clear()

    def add(self, spent: Mapping[str, list[float]]) -> None:
        """Take in what a job did and how long that took."""
        for kind, (units, seconds) in spent.items():
            known = self._done[kind]
            self._done[kind] = [known[0] + units, known[1] + seconds]
        write_json(self._file, dict(self._done))

    def pace(self, kind: str) -> float:
        """Return seconds a unit of a kind of work."""
        units, seconds = self._done.get(kind, (0.0, 0.0))
        return seconds / units if units else _guess(kind)

    def seconds(self, job: Job) -> float:
        """Return how long a whole job takes."""
        return sum(self.pace(kind) * units for kind, units in job.work.items())

    def left(self, waiting: Iterable[Job], processes: int) -> float:
        """Return how many seconds jobs take with so many processes, all of them kept busy."""
        return sum(self.seconds(job) for job in waiting) / max(1, processes)


def _guess(kind: str) -> float:
    what, _, rest = kind.partition(' ')
    if what == 'updates':
        return _UPDATE.get(rest.partition(' ')[0], 0.3)
    limit = tasks.get(rest).time_limit
    return limit * (_RECORDED if what == 'recorded' else _EPISODE)


def in_words(seconds: float) -> str:
    """Return a time as somebody would say it."""
    if seconds < 90.0:
        return f'{seconds:.0f} s'
    if seconds < 5400.0:
        return f'{seconds / 60.0:.0f} min'
    return f'{seconds / 3600.0:.1f} h'
