# SPDX-License-Identifier: Apache-2.0
"""Imports episodes of other formats into a pool. What is there already is passed over."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lwd_data.errors import ExchangeError
from lwd_data.exchange import episode
from lwd_data.exchange.recording import Reference, Source
from lwd_rollout.errors import PoolError
from lwd_rollout.pool import PART, PLAN, Entry, Pool, digest, write_json, write_manifest
from lwd_rollout.pool_plan import MIXTURE, VERSION, ImportPlan

_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]*')
_ENOUGH = 5
"""Refusals with nothing imported before them: it is the mapping that is wrong, not an episode."""


@dataclass
class Imported:
    """What an import did."""

    pool: Pool
    new: int = 0
    known: int = 0
    """Were there already."""
    refused: list[str] = field(default_factory=list)
    """Why, one text an episode."""


def import_into(
    folder: Path, source: Source, *, most: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Imported:
    """Import the episodes of a source into a pool, or go on with an interrupted import.

    An episode that is refused is left out, and tried again the next time.

    Args:
        folder: Of the pool; made if missing.
        source: What to import.
        most: So many of its first episodes; 0 for all.
        progress: Called with episodes done and in all.

    Raises:
        PoolError: The folder holds something else, or all of the first episodes were refused.
        DataError: The source cannot be listed, or the disk refuses.
    """
    references = source.episodes()
    references = references[:most] if most else references
    if not references:
        raise PoolError(f'{source.name} has no episode to import')
    _check_names(references)
    plan = _claim(folder, source, sorted({reference.task for reference in references}))
    done = Imported(Pool(folder, plan))
    for leftover in folder.glob(f'*/*/*{PART}'):
        shutil.rmtree(leftover)
    there = {entry.episode.rpartition('/')[2] for entry in entries(folder)}
    for number, reference in enumerate(references):
        progress(number, len(references))
        if reference.name in there:
            done.known += 1
            continue
        try:
            _import(folder, source, reference, number)
            done.new += 1
        except OSError as error:
            raise PoolError(f'cannot write to {folder}: {error}') from error
        except ExchangeError as error:
            done.refused.append(str(error))
            if len(done.refused) == _ENOUGH and not done.new and not done.known:
                raise PoolError(
                    f'the first {_ENOUGH} episodes of {source.name} were all refused; the first '
                    f'because: {done.refused[0]}') from error
    done.pool.entries = entries(folder)
    if done.pool.entries:
        write_manifest(done.pool)
    progress(len(references), len(references))
    return done


def entries(folder: Path) -> list[Entry]:
    """Return what has been imported so far, in order of names."""
    return [Entry(**json.loads(note.read_text(encoding='utf-8')))
            for note in sorted(folder.glob('*/*/*.json'))]


def _check_names(references: Sequence[Reference]) -> None:
    seen: set[str] = set()
    for reference in references:
        for text in (reference.name, reference.task):
            if not _NAME.fullmatch(text) or text.endswith(PART):
                raise PoolError(
                    f'the data set names an episode or task {text!r}, which cannot be a folder; '
                    'a name is of letters, digits, dot, dash and underscore')
        if reference.name in seen:
            raise PoolError(f'the data set names two episodes {reference.name!r}')
        seen.add(reference.name)


def _import(folder: Path, source: Source, reference: Reference, number: int) -> None:
    recording = source.read(reference)
    kind = recording.custom.get('kind', '')
    if kind not in MIXTURE:
        kind = 'expert' if recording.label == 'success' else 'failed'
    place = folder / recording.task / kind
    part = place / (reference.name + PART)
    written = part / reference.name
    try:
        part.mkdir(parents=True)
        metadata = episode.write(recording, written, source.mapping)
        custom = metadata.custom
        entry = Entry(
            str(Path(recording.task) / kind / reference.name), recording.task, kind, number,
            custom['label'], float(custom['score']), int(custom['steps']), digest(written))
        # One that an interruption left without its note.
        shutil.rmtree(place / reference.name, ignore_errors=True)
        written.rename(place / reference.name)
        # Last: an episode without its note is not there, and made again.
        write_json(place / f'{reference.name}.json', asdict(entry))
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _claim(folder: Path, source: Source, tasks: Sequence[str]) -> ImportPlan:
    """Make a folder the place of imported episodes, if it is not that already."""
    file = folder / PLAN
    mapping = source.mapping
    rules = {'name': mapping.name, 'sha256': mapping.digest, 'image_size': mapping.image_size,
             'cameras': sorted(source.cameras), 'label': mapping.label, 'source': mapping.source}
    plan = ImportPlan(tuple(tasks), {source.name: rules})
    if file.is_file():
        content = json.loads(file.read_text(encoding='utf-8'))
        if 'imported' not in content:
            raise PoolError(f'{folder} holds a pool of `lwd pool make`; import into another '
                            'folder, training takes several')
        known = content['imported']
        if known.get(source.name, rules) != rules:
            changed = ', '.join(
                f'{key} {known[source.name].get(key)!r}, not {value!r}'
                for key, value in rules.items() if known[source.name].get(key) != value)
            raise PoolError(
                f'{folder} holds episodes of {source.name} that were imported otherwise '
                f'({changed}); import in the same way, or into another folder')
        plan = ImportPlan(tuple(sorted({*tasks, *content['tasks']})),
                          {**known, source.name: rules})
    elif folder.exists() and any(folder.iterdir()):
        raise PoolError(f'{folder} is not empty and holds no pool; choose another folder')
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(file, {'version': VERSION, **asdict(plan)})
    except OSError as error:
        raise PoolError(f'cannot write to {folder}: {error}') from error
    return plan
