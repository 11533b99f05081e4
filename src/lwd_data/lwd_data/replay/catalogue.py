# SPDX-License-Identifier: Apache-2.0
"""The catalogue of a replay store: which segments there are, in the order they came.

SQLite in WAL mode: one process registers while others read. Registrations are only ever added, so
that a snapshot is a sequence number and a hash: taken in no time, the same for every reader.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from lwd_data.errors import CatalogueError
from lwd_data.replay import database
from lwd_data.replay.ingest import Entry, ingest_all
from lwd_data.replay.journal import Journal, Line
from lwd_data.replay.records import EpisodeRecord, Origin
from lwd_data.replay.snapshot import Snapshot

JOURNAL = 'registrations.jsonl'


class Catalogue:
    """An open catalogue. Not shared between threads."""

    def __init__(self, store: Path) -> None:
        """Open the catalogue of a store; makes both where they are missing.

        A lost or older database is brought up to the journal, and the other way round.

        Args:
            store: Its folder. Episodes within are known by their path relative to it, so that the
                store can be moved; others by their absolute path.

        Raises:
            CatalogueError: It cannot be opened, is of a newer version, or its journal is damaged.
        """
        self.store = store.resolve()
        self._db = database.connect(self.store, write=True)
        self._journal = Journal(self.store / JOURNAL)
        self._lines: list[Line] = []
        with self._transaction():
            pass

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

        What is registered already, with the same hash, is passed over; what metadata.yaml says
        anew of its episode, such as a label, is added.

        Raises:
            CatalogueError: A segment is registered already with another hash, or its episode with
                another task, instruction, robot or origin.
        """
        with self._transaction():
            return sum(self._register(entry) for entry in entries)

    def snapshot(self) -> Snapshot:
        """Return all that is registered now, as one immutable version."""
        sequence, chain = database.head(self._db)
        return Snapshot(self.store, sequence, chain.hex())

    def open_snapshot(self, identifier: str) -> Snapshot:
        """Return the snapshot of an id, or of a pin's name.

        Raises:
            CatalogueError: There is none.
        """
        row = self._db.execute(
            'SELECT snapshot FROM pins WHERE name = ?', (identifier,)).fetchone()
        text = row[0] if row is not None else identifier
        try:
            sequence = database.find_chain(self._db, bytes.fromhex(text))
        except ValueError:
            sequence = None
        if sequence is None:
            raise CatalogueError(
                f'{self.store} has no snapshot {identifier!r}: it is of another store, or was '
                f'never pinned; pinned are {", ".join(self.pins()) or "none"}')
        return Snapshot(self.store, sequence, text)

    def pin(self, name: str, snapshot: Snapshot) -> None:
        """Give a snapshot a name.

        Raises:
            CatalogueError: The name is taken by another one, or the snapshot is not of this store.
        """
        self.open_snapshot(snapshot.id)
        with self._transaction():
            known = self.pins().get(name)
            if known is not None and known[0] != snapshot.id:
                raise CatalogueError(
                    f'{name!r} is pinned to snapshot {known[0][:12]}, and cannot be to '
                    f'{snapshot.id[:12]} as well; choose another name')
            if known is None:
                self._apply({'pin': name, 'snapshot': snapshot.id, 'time': time.time()})

    def pins(self) -> dict[str, tuple[str, float]]:
        """Return id and time, s since 1970, of each pinned snapshot by name, oldest first."""
        return {name: (snapshot, moment) for name, snapshot, moment in self._db.execute(
            'SELECT name, snapshot, time FROM pins ORDER BY time')}

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Hold the write lock; what is applied meanwhile is written to database and journal."""
        try:
            self._db.execute('BEGIN IMMEDIATE')
            self._lines = []
            try:
                self._catch_up()
                size = self._journal.size()
                yield
                if self._lines:
                    self._note(self._journal.append(self._lines))
            except BaseException:
                self._db.execute('ROLLBACK')
                raise
            try:
                self._db.execute('COMMIT')
            except sqlite3.Error:
                self._journal.truncate(size)
                self._db.execute('ROLLBACK')
                raise
        except sqlite3.Error as error:
            raise CatalogueError(
                f'the catalogue of {self.store} cannot be written: {error}') from error

    def _note(self, applied: int) -> None:
        self._db.execute('UPDATE journal SET applied = ?', (applied,))

    def _catch_up(self) -> None:
        """Bring database and journal to the same state, after a kill, a power cut or a loss."""
        applied = int(self._db.execute('SELECT applied FROM journal').fetchone()[0])
        if self._journal.size() == applied:
            return
        self._journal.mend()
        size = self._journal.size()
        if size < applied:
            size = self._journal.replace(database.registrations(self._db))
        elif size > applied:
            for line in self._journal.read(applied):
                self._apply(line)
            self._lines = []
        self._note(size)

    def _register(self, entry: Entry) -> bool:
        episode, segment = entry.episode, entry.segment
        folder = self._place(episode.folder)
        number = self._check_episode(episode)
        custom = None if number is None else self._db.execute(
            'SELECT custom FROM descriptions WHERE episode = ? ORDER BY sequence DESC LIMIT 1',
            (number,)).fetchone()
        if custom is None or custom[0] != episode.custom_text:
            self._append(folder, database.description_content(
                episode.name, episode.robot, episode.task, episode.instruction, episode.origin,
                episode.custom_text))
        known = None if number is None else self._db.execute(
            'SELECT sha256 FROM segments WHERE episode = ? AND number = ?',
            (number, segment.number)).fetchone()
        if known is not None and known[0] != segment.sha256:
            raise CatalogueError(
                f'segment {segment.number} of episode {episode.name} is registered with SHA-256 '
                f'{known[0][:12]}; {episode.folder / segment.file} has {segment.sha256[:12]}. '
                'Recorded data never changes: fetch the file again, or give a new episode a name '
                'of its own')
        if known is not None:
            return False
        self._append(folder, database.segment_content(
            episode.name, segment.number, segment.file, segment.size, segment.sha256,
            int(segment.recovered)))
        return True

    def _place(self, folder: Path) -> str:
        text, store = str(folder), str(self.store)
        if not folder.is_absolute():
            text = str(folder.resolve())
        return text[len(store) + 1:] if text.startswith(store + '/') else text

    def _check_episode(self, episode: EpisodeRecord) -> int | None:
        """Return an episode's number; None if it is new."""
        row = self._db.execute(
            'SELECT number, robot, task, instruction, origin FROM episodes WHERE name = ?',
            (episode.name,)).fetchone()
        if row is None:
            return None
        for field, known in zip(('robot', 'task', 'instruction', 'origin'), row[1:]):
            found = getattr(episode, field)
            if found != known:
                raise CatalogueError(
                    f'episode {episode.name} is registered with {field} {known!r}; '
                    f'{episode.folder} has {found!r}. Is it another episode of the same name?')
        return int(row[0])

    def _append(self, folder: str, content: list[Any]) -> None:
        sequence, chain = database.head(self._db)
        self._apply(database.line(
            sequence + 1, folder, database.link(chain, content), content))

    def _apply(self, line: Line) -> None:
        """Write a line of the journal into the database.

        Raises:
            CatalogueError: It does not continue the chain.
        """
        self._lines.append(line)
        if 'pin' in line:
            self._db.execute('INSERT OR IGNORE INTO pins VALUES (?, ?, ?)',
                             (line['pin'], line['snapshot'], line['time']))
            return
        sequence, chain = database.head(self._db)
        kind, name, *content = line['content']
        following = database.link(chain, line['content'])
        if (sequence + 1, following.hex()) != (line['sequence'], line['chain']):
            raise CatalogueError(
                f'{self._journal.path}: registration {line["sequence"]} of {name} does not follow '
                f'registration {sequence} of the catalogue: the file was changed, or belongs to '
                'another store. Restore it, or delete it and add the folders anew')
        if kind == 'episode':
            self._db.execute(
                'INSERT OR IGNORE INTO episodes (name, folder, robot, task, instruction, origin) '
                'VALUES (?, ?, ?, ?, ?, ?)', (name, line['folder'], *content[:4]))
        number = self._db.execute(
            'SELECT number FROM episodes WHERE name = ?', (name,)).fetchone()[0]
        if kind == 'episode':
            custom = content[4]
            self._db.execute(
                'INSERT INTO descriptions VALUES (?, ?, ?, ?, ?)',
                (sequence + 1, number, json.loads(custom).get('label', ''), custom, following))
        else:
            self._db.execute(
                'INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
                (sequence + 1, number, *content, following))


def rebuild(store: Path) -> Catalogue:
    """Make the database of a store again from its journal; the old one is kept beside, renamed.

    Raises:
        CatalogueError: There is no journal, or it is damaged.
    """
    if not (store / JOURNAL).is_file():
        raise CatalogueError(
            f'{store} has no {JOURNAL} to make the catalogue from; add its folders anew '
            '(Catalogue.add_folder)')
    for suffix in ('', '-wal', '-shm'):
        path = store / (database.FILE + suffix)
        if path.exists():
            path.rename(path.with_name(f'{path.name}.old'))
    return Catalogue(store)
