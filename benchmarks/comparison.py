# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks that compare methods share: run a protocol, results as metrics."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from benchmarks.harness import quick
from lwd_rollout.table.layout import Layout
from lwd_rollout.table.output import write
from lwd_rollout.table.protocol import TableProtocol
from lwd_rollout.table.schedule import run

TINY = {
    'tasks': ['restock'], 'seeds': 1, 'pool.hours': 0.01,
    'budget.reference': 4, 'budget.critic': 2, 'budget.actor': 2,
    'budget.round_refresh': 1, 'budget.round_critic': 1, 'budget.round_actor': 1,
    'online.rounds': 1, 'online.episodes': 1, 'online.through_joy': False,
    'testing.episodes': 1, 'testing.noises': [1.0], 'testing.best_of': [1],
    'branching.states': 1, 'branching.chunks': 2}
"""Settings with which a comparison takes less than a minute."""


def layout_of(protocol: TableProtocol) -> Layout:
    """Return where a comparison is.

    Environment: RUN (its folder, runs/NAME by default), POOL (made there by default).
    """
    name = f'{protocol.name}-quick' if quick() else protocol.name
    pool = os.environ.get('POOL')
    return Layout(
        Path(os.environ.get('RUN', f'runs/{name}')).absolute(), protocol,
        None if pool is None else Path(pool).absolute())


def compare(protocol: TableProtocol) -> dict[str, Any]:
    """Run a comparison, or go on with it; returns its results.

    Environment: as `layout_of`, and PROCESSES.
    """
    layout = layout_of(protocol)
    # Starting a process for each takes longer than the tiny jobs themselves.
    failures = run(layout, processes=int(os.environ.get('PROCESSES', '0')), here=quick(),
                   say=lambda text: print(text, flush=True))
    for job, why in failures.items():
        print(f'not done: {job}: {why}', flush=True)
    return write(layout)


def metrics_of(found: dict[str, Any]) -> dict[str, float]:
    """Return scores, differences and critics of a comparison as flat metrics."""
    metrics: dict[str, float] = {}
    for variant, methods in found['variants'].items():
        noise, best_of = variant.removeprefix('noise ').split(', best of ')
        end = f'noise{noise}' + (f'_best{best_of}' if best_of != '1' else '')
        for name, one in methods.items():
            _interval(metrics, f'{name}_{end}', one['mean'])
            for task, score in one['tasks'].items():
                metrics[f'{name}_{end}_{task}'] = score['mean']
            for other, apart in one['against'].items():
                _interval(metrics, f'{name}_over_{other}_{end}', apart)
    for name, one in found['critics'].items():
        for key in ('auc', 'slope', 'correlation', 'spread', 'v_slope', 'v_error'):
            if one[key] is not None:
                metrics[f'{name}_{key}'] = one[key]
    metrics['seeds'], metrics['episodes'] = found['seeds'], found['episodes']
    return metrics


def _interval(metrics: dict[str, float], name: str, value: dict[str, float]) -> None:
    metrics[name] = value['mean']
    metrics[f'{name}_low'], metrics[f'{name}_high'] = value['low'], value['high']
