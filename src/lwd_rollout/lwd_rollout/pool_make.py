# SPDX-License-Identifier: Apache-2.0
"""Makes a pool: runs the seeds of its cells in parallel, keeps what is of each cell's kind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from g1_sim.seeds import SPLIT_SIZE, seeds
from lwd_rollout.errors import PoolError
from lwd_rollout.pool import (
    PART,
    Entry,
    Pool,
    claim,
    digest,
    entries,
    hours_on_disk,
    write_json,
    write_manifest,
)
from lwd_rollout.pool_plan import Cell, PoolPlan, cells
from lwd_rollout.runner import Setting, flawed_expert, player, run_episode
from lwd_rollout.workers import workers

_PLAY_SECONDS = 20.0


def make(
    folder: Path, plan: PoolPlan, *, processes: int = 0,
    progress: Callable[[float, str], None] = lambda *_: None,
) -> Pool:
    """Make a pool, or go on with one that was interrupted.

    Args:
        folder: Where; made if missing.
        plan: What.
        processes: How many; 0 for one a core.
        progress: Called with the hours done so far and what was done last.

    Raises:
        PoolError: The folder holds something else, or a pool of another plan or version.
    """
    claim(folder, plan)
    planned = cells(plan)
    with workers(processes) as executor:
        pending: set[Future[tuple[Cell, float]]] = {
            executor.submit(_fill, folder, plan, cell) for cell in planned}
        while pending:
            finished, pending = wait(pending, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in finished:
                cell, _ = future.result()
                progress(hours_on_disk(folder, plan), f'{cell.task} {cell.kind}')
            if not finished:
                progress(hours_on_disk(folder, plan), '')
    pool = Pool(folder, plan, list(entries(folder, plan)))
    write_manifest(pool)
    progress(pool.hours(), 'manifest')
    return pool


def _fill(folder: Path, plan: PoolPlan, cell: Cell) -> tuple[Cell, float]:
    """Fill a cell: run its seeds in order until its seconds are reached. Skips what is there."""
    place = folder / cell.task / cell.kind
    place.mkdir(parents=True, exist_ok=True)
    for leftover in place.glob('*' + PART):
        if leftover.is_dir():
            shutil.rmtree(leftover)
    filled, draws = 0.0, 0
    # Each cell has a stretch of its own, so that no two cells share a scene.
    stretch = (SPLIT_SIZE - plan.first_seed) // 1000
    for seed in seeds('pool', plan.first_seed + cell.index * stretch, stretch):
        if filled >= cell.seconds:
            break
        note = place / f'{seed}.json'
        if not note.is_file():
            write_json(note, _attempt(place, plan, cell, seed))
        entry = json.loads(note.read_text(encoding='utf-8'))
        if entry['episode']:
            filled, draws = filled + entry['steps'] / 30.0, 0
        else:
            draws += 1
            if draws > plan.max_draws:
                raise PoolError(
                    f'{draws} rollouts of {cell.task} in a row, and none is {cell.kind}; change '
                    f'severity ({plan.severity})')
    return cell, filled


def _attempt(place: Path, plan: PoolPlan, cell: Cell, seed: int) -> dict[str, Any]:
    """Run one seed; keeps the episode if it is of the cell's kind, and returns its entry."""
    name = f'{cell.task}_{cell.kind}_{seed:08d}'
    part = place / (name + PART)
    rng = np.random.default_rng([seed, 11])
    severity = plan.demonstration_severity if cell.kind == 'expert' else plan.severity
    controller = player(seed) if cell.kind == 'play' else flawed_expert(
        rng, severity * rng.uniform(0.5, 1.5))
    setting = Setting(
        cell.task, plan.distribution, cameras=plan.cameras, image_size=plan.image_size,
        max_seconds=_PLAY_SECONDS if cell.kind == 'play' else None)
    outcome = run_episode(
        setting, seed, controller, folder=part / name, custom={'kind': cell.kind})
    label = outcome.verdict.terminal.name.lower()
    wanted = {
        'expert': label == 'success', 'rollout': label == 'success', 'play': True,
        'failed': label in ('failure', 'timeout')}[cell.kind]
    entry = Entry(
        str(Path(cell.task) / cell.kind / name) if wanted else '', cell.task, cell.kind, seed,
        label, outcome.verdict.score, outcome.steps, digest(part / name) if wanted else '')
    if wanted:
        (part / name).rename(place / name)
    shutil.rmtree(part)
    return asdict(entry)
