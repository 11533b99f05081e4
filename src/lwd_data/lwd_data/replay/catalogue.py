# SPDX-License-Identifier: Apache-2.0
"""The catalogue of a replay store: which segments there are, in the order they came.

SQLite in WAL mode: one process registers while others read. Registrations are only ever added,
and each carries a SHA-256 over itself and the one before, so that a snapshot is a sequence number
and the hash there: taken in no time, the same for every reader.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from lwd_data.errors import CatalogueError
from lwd_data.replay.ingest import Entry, ingest_all
from lwd_data.replay.records import EpisodeRecord, Origin
from lwd_data.replay.snapshot import FILE, START, Snapshot

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE episodes (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, folder TEXT NOT NULL,
    robot TEXT NOT NULL, task TEXT NOT NULL, instruction TEXT NOT NULL, origin TEXT NOT NULL);
CREATE TABLE segments (
    sequence INTEGER PRIMARY KEY, episode INTEGER NOT NULL REFERENCES episodes,
    number INTEGER NOT NULL, file TEXT NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL,
    recovered INTEGER NOT NULL, custom TEXT NOT NULL, chain BLOB NOT NULL,
    UNIQUE (episode, number));
CREATE TABLE pins (name TEXT PRIMARY KEY, snapshot TEXT NOT NULL, time REAL NOT NULL);
"""


class Catalogue:
    """An open catalogue. Not shared between threads."""

    def __init__(self, store: Path) -> None:
        """Open the catalogue of a store; makes both where they are missing.

        Args:
            store: Its folder. Episodes within are known by their path relative to it, so that the
                store can be moved; others by their absolute path.

        Raises:
            CatalogueError: It cannot be opened, or is of a newer version.
        """
        self.store = store.resolve()
        self.path = self.store / FILE
        try:
            self.store.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=60.0, isolation_level=None)
            self._db.execute('PRAGMA journal_mode = WAL')
            self._db.execute('PRAGMA synchronous = NORMAL')
            self._make()
        except (OSError, sqlite3.Error) as error:
            raise CatalogueError(f'cannot open the catalogue {self.path}: {error}') from error

    def _make(self) -> None:
        self._db.execute('BEGIN IMMEDIATE')
        try:
            version = self._db.execute('PRAGMA user_version').fetchone()[0]
            if version > SCHEMA_VERSION:
                raise CatalogueError(
                    f'{self.path} is of version {version}, this is {SCHEMA_VERSION}: update, or '
                    'make it again from the files with this version (rebuild)')
            if version == 0:
                for statement in _SCHEMA.split(';'):
                    self._db.execute(statement)
                self._db.execute(f'PRAGMA user_version = {SCHEMA_VERSION}')
        except BaseException:
            self._db.execute('ROLLBACK')
            raise
        self._db.execute('COMMIT')

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Catalogue:
        """Return the catalogue."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def add_folder(self, folder: Path, *, origin: Origin, processes: int = 1) -> int:
        """Index and register every episode under a folder; returns how many segments were new.

        Args:
            folder: Searched recursively; what is registered already is passed over.
            origin: Of all of them.
            processes: That make indexes; 0 for one a core.

        Raises:
            ReadError, IndexFileError: An episode cannot be trained on; the message names it.
            CatalogueError: A segment is registered already with other content.
        """
        return sum(self.register(entries)
                   for entries in ingest_all(folder.resolve(), origin, processes=processes))

    def register(self, entries: Iterable[Entry]) -> int:
        """Register segments, all or none of them; returns how many were new.

        What is registered already, with the same hash, is passed over.

        Raises:
            CatalogueError: A segment is registered already with another hash.
        """
        self._db.execute('BEGIN IMMEDIATE')
        try:
            count = sum(self._register(entry) for entry in entries)
        except BaseException:
            self._db.execute('ROLLBACK')
            raise
        self._db.execute('COMMIT')
        return count

    def _register(self, entry: Entry) -> bool:
        episode, segment = entry.episode, entry.segment
        number = self._episode(episode)
        known = self._db.execute(
            'SELECT sha256 FROM segments WHERE episode = ? AND number = ?',
            (number, segment.number)).fetchone()
        if known is not None:
            if known[0] == segment.sha256:
                return False
            raise CatalogueError(
                f'segment {segment.number} of episode {episode.name} is registered with SHA-256 '
                f'{known[0][:12]}; {episode.folder / segment.file} has {segment.sha256[:12]}. '
                'Recorded data never changes: fetch the file again, or give a new episode a name '
                'of its own')
        sequence, chain = self._head()
        custom = json.dumps(dict(episode.custom), sort_keys=True)
        link = json.dumps(
            [episode.name, episode.robot, episode.task, episode.instruction, episode.origin,
             segment.number, segment.file, segment.size, segment.sha256, int(segment.recovered),
             custom])
        self._db.execute(
            'INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
            (sequence + 1, number, segment.number, segment.file, segment.size, segment.sha256,
             int(segment.recovered), custom, hashlib.sha256(chain + link.encode()).digest()))
        return True

    def _episode(self, episode: EpisodeRecord) -> int:
        found = self._db.execute(
            'SELECT number FROM episodes WHERE name = ?', (episode.name,)).fetchone()
        if found is not None:
            return int(found[0])
        folder = episode.folder.resolve()
        place = folder.relative_to(self.store) if folder.is_relative_to(self.store) else folder
        cursor = self._db.execute(
            'INSERT INTO episodes (name, folder, robot, task, instruction, origin) '
            'VALUES (?, ?, ?, ?, ?, ?)',
            (episode.name, str(place), episode.robot, episode.task, episode.instruction,
             episode.origin))
        return int(cursor.lastrowid or 0)

    def _head(self) -> tuple[int, bytes]:
        row = self._db.execute(
            'SELECT sequence, chain FROM segments ORDER BY sequence DESC LIMIT 1').fetchone()
        return (int(row[0]), bytes(row[1])) if row is not None else (0, START)

    def snapshot(self) -> Snapshot:
        """Return all that is registered now, as one immutable version."""
        sequence, chain = self._head()
        return Snapshot(self.store, sequence, chain.hex())
