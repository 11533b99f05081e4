# SPDX-License-Identifier: Apache-2.0
"""Whether what a fleet recorded is in the store: all of it, once, and without a gap."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from lwd_bringup.errors import BringupError
from lwd_data.errors import CatalogueError
from lwd_data.replay import database
from lwd_data.replay.registry import JOURNAL
from lwd_learner_bridge.store.names import QUARANTINE
from lwd_learner_bridge.upload.spool import Spool


class _Registered(NamedTuple):
    path: Path
    sha256: str


@dataclass
class Audit:
    """What was found; a segment is named <episode>/<number>."""

    registered: int = 0
    """Segments in the catalogue that robots recorded."""
    waiting: list[str] = field(default_factory=list)
    """Closed, in a spool, and not registered yet: they come with the next start."""
    lost: list[str] = field(default_factory=list)
    """Neither there nor there, or registered with another content."""
    doubled: list[str] = field(default_factory=list)
    """Registered twice, or under two names."""
    quarantined: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    """Episodes of a spool, with the reason."""
    files: dict[str, list[Path]] = field(default_factory=dict)
    """Segments of each episode, in order, in the store or else in the spool."""


def audit(store: Path, spool: Path) -> Audit:
    """Hold spools against the catalogue of a store; nothing may be writing to them.

    Args:
        store: Folder that robots upload to, with its catalogue.
        spool: Folder of all robots' spools.

    Raises:
        BringupError: The catalogue cannot be read.
    """
    found = Audit()
    registered = _registered(store)
    found.registered = len(registered)
    found.doubled = _doubled(store, registered)
    places = {name: each.path for name, each in registered.items()}
    for robot in sorted(each.name for each in spool.iterdir()
                        if each.is_dir() and not each.name.startswith('.')):
        home = Spool(spool, robot)
        for episode in home.episodes():
            for segment in episode.segments:
                name = (episode.name, segment.number)
                if name not in registered:
                    found.waiting.append(_text(name))
                    places[name] = segment.path
                elif _sha256(segment.path) != registered[name].sha256:
                    found.lost.append(_text(name))
        found.unreadable += home.problems.values()
    numbers: dict[str, list[int]] = {}
    for episode_name, number in sorted(places):
        numbers.setdefault(episode_name, []).append(number)
        found.files.setdefault(episode_name, []).append(places[episode_name, number])
    for episode_name, present in numbers.items():
        # A spool gives up what is confirmed, the oldest first: a hole is a loss wherever it is.
        found.lost += [_text((episode_name, number)) for number in range(max(present))
                       if number not in present]
    found.quarantined = sorted(
        str(path.relative_to(store / QUARANTINE))
        for path in (store / QUARANTINE).rglob('*.mcap'))
    return found


def _registered(store: Path) -> dict[tuple[str, int], _Registered]:
    try:
        with closing(database.connect(store, write=False)) as db:
            return {(name, number): _Registered(store / folder / file, sha256)
                    for name, folder, number, file, sha256 in db.execute(
                        'SELECT e.name, e.folder, s.number, s.file, s.sha256 FROM segments s '
                        'JOIN episodes e ON s.episode = e.number WHERE e.origin = "online"')}
    except (CatalogueError, sqlite3.Error) as error:
        raise BringupError(f'the catalogue of {store} cannot be read: {error}') from error


def _doubled(store: Path, registered: dict[tuple[str, int], _Registered]) -> list[str]:
    """Return what is there twice: by the journal's lines, and by content."""
    lines: Counter[tuple[str, int]] = Counter()
    with (store / JOURNAL).open(encoding='utf-8') as file:
        for line in file:
            content = json.loads(line).get('content', [''])
            if content[0] == 'segment':
                lines[content[1], content[2]] += 1
    contents = Counter(each.sha256 for each in registered.values())
    return sorted({
        *(_text(name) for name, count in lines.items() if count > 1),
        *(_text(name) for name, each in registered.items() if contents[each.sha256] > 1)})


def _text(name: tuple[str, int]) -> str:
    return f'{name[0]}/{name[1]}'


def _sha256(path: Path) -> str:
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()
