# SPDX-License-Identifier: Apache-2.0
"""The offline pool: what a fleet would have recorded before any learning.

The mixture is the article's, by hours: 51.6 % expert demonstrations, 34.8 % failures, the rest
successful rollouts and play. Each task gets the same hours. A pool is made of cells, one a task
and kind; a cell is a fixed sequence of seeds, so that a pool can be interrupted, resumed, and made
by any number of processes, and still comes out the same byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from g1_sim import tasks
from g1_sim.errors import SimError
from g1_sim.experts.flaws import draw
from g1_sim.seeds import SPLIT_SIZE, seeds
from lwd_rollout.errors import PoolError
from lwd_rollout.runner import Setting, expert, player, run_episode
from lwd_rollout.workers import workers

MIXTURE = {'expert': 0.516, 'failed': 0.348, 'rollout': 0.086, 'play': 0.05}
"""Shares of the hours. Expert and failed are the article's; how it divides the rest is unknown."""
VERSION = 1
MANIFEST, PLAN = 'manifest.json', 'pool.json'
_PART = '.part'
_PLAY_SECONDS = 20.0


@dataclass(frozen=True)
class PoolPlan:
    """What a pool is to hold."""

    hours: float = 1.0
    """Of robot time, all tasks together."""
    tasks: tuple[str, ...] = ()
    """Names; empty for all."""
    distribution: str = 'train'
    first_seed: int = 0
    """Within the split `pool`; pools with seeds in common hold episodes in common."""
    severity: float = 1.0
    """Of the flaws of failed and successful rollouts; see g1_sim.experts.flaws."""
    demonstration_severity: float = 0.25
    """Of the flaws of demonstrations: operators are not clean either, and succeed all the same."""
    cameras: tuple[str, ...] = ()
    """What the robot sees; none by default: joints and privileged scene features only."""
    image_size: int = 128
    max_draws: int = 60
    """So many rollouts in a row may come out otherwise than their kind says."""
    version: int = VERSION

    def __post_init__(self) -> None:
        if not 0.0 < self.hours <= 10_000.0:
            raise PoolError(f'hours is {self.hours}; it must be above 0, at most 10000')
        for name in self.tasks:
            try:
                tasks.get(name)
            except SimError as error:
                raise PoolError(str(error)) from error

    @property
    def task_names(self) -> tuple[str, ...]:
        """The tasks, all of them if none are named."""
        return self.tasks or tuple(tasks.TASKS)


@dataclass(frozen=True)
class Cell:
    """One task and kind, filled from a sequence of its own seeds."""

    task: str
    kind: str
    index: int
    seconds: float
    """Of robot time to fill."""


@dataclass(frozen=True)
class Entry:
    """One episode of a pool, as the manifest lists it."""

    episode: str
    """Its folder, relative to the pool."""
    task: str
    kind: str
    seed: int
    label: str
    score: float
    steps: int
    sha256: str
    """Of its segments, one after the other."""


@dataclass
class Pool:
    """A pool on disk."""

    folder: Path
    plan: PoolPlan
    entries: list[Entry] = field(default_factory=list)

    def hours(self, kind: str | None = None) -> float:
        """Return hours of robot time, of one kind or of all."""
        return sum(entry.steps for entry in self.entries
                   if kind is None or entry.kind == kind) / 30.0 / 3600.0


def cells(plan: PoolPlan) -> list[Cell]:
    """Return the cells of a plan, the longest first so that processes end together."""
    seconds = plan.hours * 3600.0 / len(plan.task_names)
    # The index, and with it the seeds, depends on the task, not on which others are chosen.
    indices = {
        pair: i for i, pair in enumerate(
            (task, kind) for task in sorted(tasks.TASKS) for kind in MIXTURE)}
    found = [
        Cell(task, kind, indices[task, kind], seconds * share)
        for task in plan.task_names for kind, share in MIXTURE.items()]
    return sorted(found, key=lambda cell: (-cell.seconds, cell.index))


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
    _claim(folder, plan)
    planned = cells(plan)
    with workers(processes) as executor:
        pending: set[Future[tuple[Cell, float]]] = {
            executor.submit(_fill, folder, plan, cell) for cell in planned}
        while pending:
            finished, pending = wait(pending, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in finished:
                cell, _ = future.result()
                progress(_hours_on_disk(folder, plan), f'{cell.task} {cell.kind}')
            if not finished:
                progress(_hours_on_disk(folder, plan), '')
    pool = Pool(folder, plan, list(_entries(folder, plan)))
    _write_json(folder / MANIFEST, _manifest(pool))
    progress(pool.hours(), 'manifest')
    return pool


def load(folder: Path) -> Pool:
    """Read a finished pool.

    Raises:
        PoolError: There is none, it is unfinished, or of another version.
    """
    plan = _read_plan(folder)
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise PoolError(
            f'{folder} is an unfinished pool: run `lwd pool make {folder}` again to finish it '
            f'({_hours_on_disk(folder, plan):.2f} of {plan.hours:g} hours are there)')
    content = json.loads(manifest.read_text(encoding='utf-8'))
    return Pool(folder, plan, [Entry(**entry) for entry in content['episodes']])


def verify(pool: Pool) -> list[str]:
    """Return what is wrong with a pool's episodes: missing or changed ones."""
    wrong = []
    for entry in pool.entries:
        path = pool.folder / entry.episode
        if not path.is_dir():
            wrong.append(f'{entry.episode} is missing')
        elif (found := _hash(path)) != entry.sha256:
            wrong.append(f'{entry.episode} has changed: {found[:12]}, not {entry.sha256[:12]}')
    return wrong


def _claim(folder: Path, plan: PoolPlan) -> None:
    file = folder / PLAN
    if file.is_file():
        known = _read_plan(folder)
        if known != plan:
            changed = [f'{name} {old!r}, not {getattr(plan, name)!r}'
                       for name, old in asdict(known).items()
                       if old != asdict(plan)[name]]
            raise PoolError(
                f'{folder} holds a pool of another plan ({"; ".join(changed)}): finish it with '
                'its own settings, or choose another folder')
        return
    if folder.exists() and any(folder.iterdir()):
        raise PoolError(f'{folder} is not empty and holds no pool; choose another folder')
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(file, asdict(plan))


def _read_plan(folder: Path) -> PoolPlan:
    file = folder / PLAN
    try:
        content = json.loads(file.read_text(encoding='utf-8'))
    except FileNotFoundError as error:
        raise PoolError(f'{folder} holds no pool: there is no {PLAN}') from error
    except json.JSONDecodeError as error:
        raise PoolError(f'{file} is damaged: {error}') from error
    if content.get('version') != VERSION:
        raise PoolError(
            f'{folder} was written by version {content.get("version")} of the pool, this is '
            f'{VERSION}: its episodes can still be read one by one, but not added to')
    lists = {name: tuple(content[name]) for name in ('tasks', 'cameras')}
    return PoolPlan(**{**content, **lists})


def _fill(folder: Path, plan: PoolPlan, cell: Cell) -> tuple[Cell, float]:
    """Fill a cell: run its seeds in order until its seconds are reached. Skips what is there."""
    place = folder / cell.task / cell.kind
    place.mkdir(parents=True, exist_ok=True)
    for leftover in place.glob('*' + _PART):
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
            _write_json(note, _attempt(place, plan, cell, seed))
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
    part = place / (name + _PART)
    rng = np.random.default_rng([seed, 11])
    severity = plan.demonstration_severity if cell.kind == 'expert' else plan.severity
    controller = player(seed) if cell.kind == 'play' else expert(
        draw(rng, severity * rng.uniform(0.5, 1.5)))
    setting = Setting(
        cell.task, plan.distribution, plan.cameras, plan.image_size,
        max_seconds=_PLAY_SECONDS if cell.kind == 'play' else None)
    outcome = run_episode(
        setting, seed, controller, folder=part / name, custom={'kind': cell.kind})
    label = outcome.verdict.terminal.name.lower()
    wanted = {
        'expert': label == 'success', 'rollout': label == 'success', 'play': True,
        'failed': label in ('failure', 'timeout')}[cell.kind]
    entry = Entry(
        str(Path(cell.task) / cell.kind / name) if wanted else '', cell.task, cell.kind, seed,
        label, outcome.verdict.score, outcome.steps, _hash(part / name) if wanted else '')
    if wanted:
        (part / name).rename(place / name)
    shutil.rmtree(part)
    return asdict(entry)


def _hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob('*.mcap'), key=lambda path: (len(path.name), path.name)):
        with path.open('rb') as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _entries(folder: Path, plan: PoolPlan) -> Iterator[Entry]:
    for name in plan.task_names:
        for kind in MIXTURE:
            for note in sorted((folder / name / kind).glob('*.json'), key=lambda p: int(p.stem)):
                content = json.loads(note.read_text(encoding='utf-8'))
                if content['episode']:
                    yield Entry(**content)


def _hours_on_disk(folder: Path, plan: PoolPlan) -> float:
    return sum(entry.steps for entry in _entries(folder, plan)) / 30.0 / 3600.0


def _manifest(pool: Pool) -> dict[str, Any]:
    def total(entries: Sequence[Entry]) -> dict[str, float]:
        return {'episodes': len(entries),
                'hours': round(sum(entry.steps for entry in entries) / 30.0 / 3600.0, 4)}

    return {
        'version': VERSION,
        'plan': asdict(pool.plan),
        'total': total(pool.entries),
        'kinds': {kind: total([e for e in pool.entries if e.kind == kind]) for kind in MIXTURE},
        'tasks': {task: total([e for e in pool.entries if e.task == task])
                  for task in pool.plan.task_names},
        'episodes': [asdict(entry) for entry in pool.entries],
    }


def _write_json(path: Path, content: Any) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.with_name(path.name + _PART)
    temporary.write_text(json.dumps(content, indent=1) + '\n', encoding='utf-8')
    temporary.replace(path)
