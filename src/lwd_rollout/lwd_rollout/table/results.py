# SPDX-License-Identifier: Apache-2.0
"""From the cells' files to figures: means with intervals, paired differences, cycle times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from g1_sim import tasks as known_tasks
from lwd_rollout.errors import TableError
from lwd_rollout.ranking import Branch
from lwd_rollout.statistics import crossed_bootstrap, restricted_mean
from lwd_rollout.table.analysis import critic_figures
from lwd_rollout.table.layout import TRAINED, Layout
from lwd_rollout.table.methods import Method, chosen

BASELINES = ('sft', 'sft_long', 'filtered_self', 'filtered_same', 'hg_dagger', 'recap')
"""What the table compares every method with, episode by episode."""
PAIRED = (*BASELINES, 'lwd_offline', 'expectile_offline', 'expectile_online')
"""What results.json compares them with."""


@dataclass(frozen=True)
class Tested:
    """Test episodes of one method at one noise and best-of."""

    method: Method
    seeds: tuple[int, ...]
    """Training seeds of which every task was tested."""
    rows: Mapping[tuple[str, int], list[Mapping[str, Any]]]
    """By task and seed."""

    def scores(self, tasks: tuple[str, ...], seeds: tuple[int, ...]) -> NDArray[np.float64]:
        """Return (T, S, E)."""
        return np.array([[[row['score'] for row in self.rows[task, seed]] for seed in seeds]
                         for task in tasks], dtype=np.float64)


def variant(noise: float, best_of: int) -> str:
    """Return the name of a way to use a policy."""
    return f'noise {noise:g}, best of {best_of}'


def gather(layout: Layout) -> dict[str, Any]:
    """Return all that can be said of a comparison so far, as plain data.

    Raises:
        TableError: Results are of another protocol, or cells were trained on different data.
    """
    protocol = layout.protocol
    methods = chosen(protocol.methods)
    added = layout.added
    cells = {(method.name, seed): found for method in methods for seed in range(layout.seeds)
             if (found := layout.read(layout.cell(method.name, seed) / TRAINED)) is not None}
    _check_data(methods, cells)
    variants: dict[str, Any] = {}
    for best_of in protocol.testing.best_of:
        for noise in protocol.testing.noises:
            tested = [_tested(layout, method, noise, best_of) for method in methods]
            variants[variant(noise, best_of)] = _figures(
                [one for one in tested if one.seeds], protocol.task_names, protocol.long_tasks)
    return {
        'protocol': layout.sha256, 'name': protocol.name,
        'tasks': list(protocol.task_names), 'seeds': protocol.seeds,
        'added': {'seeds': layout.seeds - protocol.seeds, 'methods': list(added.methods)},
        'episodes': protocol.testing.episodes, 'split': protocol.testing.split,
        'distribution': protocol.testing.distribution,
        'updates': {'offline': protocol.budget.offline,
                    'online': protocol.budget.round * protocol.online.rounds},
        'codes': sorted({str(cell['code']) for cell in cells.values()}),
        'variants': variants,
        'cells': {f'{name}-{seed}': {
            key: cell[key] for key in ('updates', 'rounds', 'diagnostics', 'condition', 'version')
            if key in cell} for (name, seed), cell in cells.items()},
        'critics': _critics(layout, methods)}


def _check_data(
    methods: list[Method], cells: Mapping[tuple[str, int], Mapping[str, Any]],
) -> None:
    offline = {method.name for method in methods if method.stage == 'offline'}
    found: dict[str, str] = {}
    for (name, seed), cell in cells.items():
        if name in offline:
            found.setdefault(str(cell['snapshot']), f'{name}-{seed}')
    if len(found) > 1:
        several = ', '.join(f'{name} on {snapshot[:12]}' for snapshot, name in found.items())
        raise TableError(
            f'cells were trained on different offline data ({several}): they cannot stand in one '
            'table; remove those of the pool that is not wanted, and run again')


def _tested(layout: Layout, method: Method, noise: float, best_of: int) -> Tested:
    protocol = layout.protocol
    seeds: list[int] = []
    rows: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for seed in range(layout.seeds):
        found = {task: layout.read(layout.scores(method.name, seed, task, noise, best_of))
                 for task in protocol.task_names}
        if all(one is not None for one in found.values()):
            seeds.append(seed)
            rows |= {(task, seed): one['episodes'] for task, one in found.items() if one}
    return Tested(method, tuple(seeds), rows)


def _figures(
    tested: list[Tested], tasks: tuple[str, ...], long_tasks: tuple[str, ...],
) -> dict[str, Any]:
    by_name = {one.method.name: one for one in tested}
    long = tuple(task for task in tasks if task in long_tasks)
    found = {}
    for one in tested:
        figures: dict[str, Any] = {
            'title': one.method.title, 'group': one.method.group, 'seeds': list(one.seeds),
            'mean': _mean(one.scores(tasks, one.seeds)),
            'tasks': {task: _mean(one.scores((task,), one.seeds)) for task in tasks},
            'cycle': {task: _cycle(one, task) for task in tasks},
            'subtasks': {task: _subtasks(one, task) for task in tasks},
            'against': {}}
        if long:
            figures['long'] = _mean(one.scores(long, one.seeds))
        for name in PAIRED:
            other = by_name.get(name)
            if other is None or other is one:
                continue
            common = tuple(seed for seed in one.seeds if seed in other.seeds)
            if common:
                figures['against'][name] = _mean(
                    one.scores(tasks, common) - other.scores(tasks, common))
        found[one.method.name] = figures
    return found


def _mean(values: NDArray[np.float64]) -> dict[str, float]:
    low, high = crossed_bootstrap(values)
    return {'mean': float(values.mean()), 'low': low, 'high': high}


def _cycle(tested: Tested, task: str) -> float:
    """Return the mean time to success, s, restricted to the task's limit."""
    limit = known_tasks.get(task).time_limit
    rows = [row for seed in tested.seeds for row in tested.rows[task, seed]]
    # Who fails early would not have succeeded later: that counts as the whole limit, too.
    times = [row['seconds'] if row['success'] else limit for row in rows]
    return restricted_mean(times, [row['success'] for row in rows], limit)


def _subtasks(tested: Tested, task: str) -> dict[str, float]:
    rows = [row['subtasks'] for seed in tested.seeds for row in tested.rows[task, seed]]
    return {name: round(float(score), 4)
            for name, score in zip(known_tasks.get(task).subtasks, np.mean(rows, axis=0))}


def _critics(layout: Layout, methods: list[Method]) -> dict[str, Any]:
    found = {}
    for method in methods:
        files = [layout.read(layout.branches(method.name, seed))
                 for seed in range(layout.seeds) if method.has_critic]
        figures = [critic_figures([Branch(**one) for one in file['branches']])
                   for file in files if file is not None]
        if figures:
            found[method.name] = {
                'seeds': len(figures), **{key: _known_mean([one[key] for one in figures])
                                          for key in figures[0]}}
    return found


def _known_mean(values: list[float]) -> float | None:
    """Return the mean of what is known; None if no state could tell anything."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else None
