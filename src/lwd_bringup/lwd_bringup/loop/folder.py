# SPDX-License-Identifier: Apache-2.0
"""A run's folder, read: what is there, and what is missing in it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lwd_bringup.errors import BringupError
from lwd_bringup.fleet_config import RUN
from lwd_bringup.loop import history, plan, versions
from lwd_bringup.loop.comparison import Comparison, Result, compare
from lwd_bringup.loop.history import History
from lwd_bringup.loop.plan import LoopPlan
from lwd_learner import metrics
from lwd_policy.errors import PolicyError
from lwd_policy.published import Publication, Published

SUMMARY, TIMELINE, EVALUATION, REPORT = (
    'summary.json', 'timeline.jsonl', 'evaluation', 'report.html')
_PUBLISHED = 'published'


@dataclass(frozen=True)
class Ancestor:
    """A published policy and what it was trained from."""

    publication: Publication
    parent: str
    algorithm: str
    created: str


@dataclass
class Run:
    """All that a run's folder tells, finished or not."""

    folder: Path
    plan: LoopPlan
    history: History = field(default_factory=History)
    first: list[Result] = field(default_factory=list)
    last: list[Result] = field(default_factory=list)
    comparison: Comparison | None = None
    metrics: list[dict[str, Any]] = field(default_factory=list)
    """Lines of the learner."""
    lineage: list[Ancestor] = field(default_factory=list)
    """Of the published policies, the oldest first."""
    films: dict[tuple[str, str], Path] = field(default_factory=dict)
    """By task, and first or last: the filmstrip."""
    summary: Mapping[str, Any] = field(default_factory=dict)
    versions: Sequence[Mapping[str, str]] = ()
    """Of the software, a start each."""
    missing: list[str] = field(default_factory=list)
    """What a finished run has and this one lacks, in words."""


def read(folder: Path) -> Run:
    """Read a run, as far as it got.

    Raises:
        BringupError: There is no run in the folder, or its timeline cannot be read.
    """
    run = Run(folder, plan.resumed(folder))
    run.first = _evaluation(run, 'first')
    run.last = _evaluation(run, 'last')
    if run.first and run.last:
        try:
            run.comparison = compare(run.first, run.last)
        except BringupError as error:
            run.missing.append(str(error))
    run.history = history.read(folder / TIMELINE)
    if not run.history.starts:
        run.missing.append(f'the fleet has told nothing yet: no line in {TIMELINE}')
    elif run.history.unreadable:
        run.missing.append(f'{run.history.unreadable} lines of {TIMELINE} were cut short, or are '
                           'of another version; they are left out')
    _learner(run)
    for which in ('first', 'last'):
        for task in run.plan.tasks:
            file = folder / EVALUATION / f'{which}_{task}.png'
            if file.is_file():
                run.films[task, which] = file
    run.summary = _json(folder / SUMMARY)
    if not run.summary:
        run.missing.append(f'the run is not finished: no {SUMMARY}; go on with it: '
                           f'./lwd demo --resume {folder}')
    run.versions = versions.read(folder)
    if not run.versions:
        run.missing.append(f'which software it ran with was not kept: no {versions.FILE}')
    return run


def _evaluation(run: Run, which: str) -> list[Result]:
    file = run.folder / EVALUATION / f'{which}.json'
    content = _json(file)
    try:
        found = [Result(**row) for row in content['results']]
    except (KeyError, TypeError):
        found = []
    if not found:
        run.missing.append(
            f'the {which} policy is not evaluated yet: no results in {EVALUATION}/{file.name}')
    return found


def _learner(run: Run) -> None:
    folder = run.folder / RUN
    try:
        run.metrics = metrics.read(folder / metrics.FILE)
    except (OSError, UnicodeDecodeError):
        run.metrics = []
    if not any(row.get('phase') != 'data' for row in run.metrics):
        run.missing.append(f'the learner has noted no losses yet: none in {RUN}/{metrics.FILE}')
    try:
        for one in reversed(Published(folder / _PUBLISHED).all()):
            card = one.card()
            run.lineage.append(Ancestor(one, card.parent, card.algorithm, card.created))
    except PolicyError as error:
        run.missing.append(f'the lineage is not whole: {error}')
    if not run.lineage:
        run.missing.append(f'the learner published no policy yet: {RUN}/{_PUBLISHED} is empty')


def _json(file: Path) -> Mapping[str, Any]:
    """Return an object of a JSON file; empty if there is none, or it is none."""
    try:
        content = json.loads(file.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
