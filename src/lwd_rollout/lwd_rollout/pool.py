# SPDX-License-Identifier: Apache-2.0
"""A pool of episodes on disk: plan, manifest, and whether its episodes are as they were."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lwd_rollout.errors import PoolError
from lwd_rollout.pool_plan import MIXTURE, VERSION, ImportPlan, PoolPlan

MANIFEST, PLAN = 'manifest.json', 'pool.json'
PART = '.part'
"""Ends the name of what is not whole yet."""


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
    plan: PoolPlan | ImportPlan
    entries: list[Entry] = field(default_factory=list)

    def hours(self, kind: str | None = None) -> float:
        """Return hours of robot time, of one kind or of all."""
        return sum(entry.steps for entry in self.entries
                   if kind is None or entry.kind == kind) / 30.0 / 3600.0


def load(folder: Path) -> Pool:
    """Read a finished pool.

    Raises:
        PoolError: There is none, it is unfinished, or of another version.
    """
    plan = _read_plan(folder)
    manifest = folder / MANIFEST
    if not manifest.is_file():
        if isinstance(plan, ImportPlan):
            raise PoolError(
                f'{folder} is an unfinished import of {", ".join(plan.imported)}: run `lwd '
                'import` again to finish it')
        raise PoolError(
            f'{folder} is an unfinished pool: run `lwd pool make {folder}` again to finish it '
            f'({hours_on_disk(folder, plan):.2f} of {plan.hours:g} hours are there)')
    content = json.loads(manifest.read_text(encoding='utf-8'))
    return Pool(folder, plan, [Entry(**entry) for entry in content['episodes']])


def verify(pool: Pool) -> list[str]:
    """Return what is wrong with a pool's episodes: missing or changed ones."""
    wrong = []
    for entry in pool.entries:
        path = pool.folder / entry.episode
        if not path.is_dir():
            wrong.append(f'{entry.episode} is missing')
        elif (found := digest(path)) != entry.sha256:
            wrong.append(f'{entry.episode} has changed: {found[:12]}, not {entry.sha256[:12]}')
    return wrong


def claim(folder: Path, plan: PoolPlan) -> None:
    """Make a folder the place of a pool, if it is not that already.

    Raises:
        PoolError: The folder holds something else, or a pool of another plan or version.
    """
    file = folder / PLAN
    if file.is_file():
        known = _read_plan(folder)
        if isinstance(known, ImportPlan):
            raise PoolError(
                f'{folder} holds imported episodes ({", ".join(known.imported)}); make the pool '
                'in another folder, training takes several')
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
    write_json(file, asdict(plan))


def _read_plan(folder: Path) -> PoolPlan | ImportPlan:
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
    if 'imported' in content:
        return ImportPlan(tuple(content['tasks']), content['imported'])
    lists = {name: tuple(content[name]) for name in ('tasks', 'cameras')}
    return PoolPlan(**{**content, **lists})


def digest(folder: Path) -> str:
    """Return the SHA-256 of an episode's segments, one after the other."""
    found = hashlib.sha256()
    for path in sorted(folder.glob('*.mcap'), key=lambda path: (len(path.name), path.name)):
        with path.open('rb') as file:
            while block := file.read(1 << 20):
                found.update(block)
    return found.hexdigest()


def entries(folder: Path, plan: PoolPlan) -> Iterator[Entry]:
    """Yield what has been made so far, in the manifest's order."""
    for name in plan.task_names:
        for kind in MIXTURE:
            for note in sorted((folder / name / kind).glob('*.json'), key=lambda p: int(p.stem)):
                content = json.loads(note.read_text(encoding='utf-8'))
                if content['episode']:
                    yield Entry(**content)


def hours_on_disk(folder: Path, plan: PoolPlan) -> float:
    """Return how many hours of robot time have been made so far."""
    return sum(entry.steps for entry in entries(folder, plan)) / 30.0 / 3600.0


def write_manifest(pool: Pool) -> None:
    """Write the manifest, with which a pool is finished."""
    def total(chosen: Sequence[Entry]) -> dict[str, float]:
        return {'episodes': len(chosen),
                'hours': round(sum(entry.steps for entry in chosen) / 30.0 / 3600.0, 4)}

    write_json(pool.folder / MANIFEST, {
        'version': VERSION,
        'plan': asdict(pool.plan),
        'total': total(pool.entries),
        'kinds': {kind: total([e for e in pool.entries if e.kind == kind]) for kind in MIXTURE},
        'tasks': {task: total([e for e in pool.entries if e.task == task])
                  for task in pool.plan.task_names},
        'episodes': [asdict(entry) for entry in pool.entries],
    })


def write_json(path: Path, content: Any) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.with_name(path.name + PART)
    temporary.write_text(json.dumps(content, indent=1) + '\n', encoding='utf-8')
    temporary.replace(path)
