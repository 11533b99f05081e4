# SPDX-License-Identifier: Apache-2.0
"""Writes registrations: into the database and the journal, both or neither."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lwd_data.errors import CatalogueError
from lwd_data.replay import database
from lwd_data.replay.journal import Journal, Line

JOURNAL = 'registrations.jsonl'


class Registry:
    """The database of a store, and its journal. Not shared between threads."""

    def __init__(self, store: Path) -> None:
        """Open both; makes them where they are missing, and brings the older up to the newer.

        Raises:
            CatalogueError: They cannot be opened, are of a newer version, or damaged.
        """
        self.store = store
        self.db = database.connect(store, write=True)
        self._journal = Journal(store / JOURNAL)
        self._lines: list[Line] = []
        # Sequence and chain of the newest registration, within a transaction.
        self._head = (0, database.START)
        with self.transaction():
            pass

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the write lock; what is added meanwhile is kept if nothing goes wrong.

        Raises:
            CatalogueError: The disk refuses, or another process holds the lock for a minute.
        """
        try:
            self.db.execute('BEGIN IMMEDIATE')
            try:
                self._head = database.head(self.db)
                self._catch_up()
                size, self._lines = self._journal.size(), []
                yield
                if self._lines:
                    self._note(self._journal.append(self._lines))
            except BaseException:
                self.db.execute('ROLLBACK')
                raise
            try:
                self.db.execute('COMMIT')
            except sqlite3.Error:
                self._journal.truncate(size)
                self.db.execute('ROLLBACK')
                raise
        except sqlite3.Error as error:
            raise CatalogueError(
                f'the catalogue of {self.store} cannot be written: {error}') from error

    def add(self, folder: str, content: list[Any]) -> None:
        """Add a registration, within a transaction.

        Args:
            folder: Where the episode lies; no part of the chain, so that stores can be moved.
            content: See database.segment_content and database.description_content.
        """
        sequence, chain = self._head
        self._add(database.line(sequence + 1, folder, database.link(chain, content), content))

    def add_pin(self, name: str, snapshot: str, time: float) -> None:
        """Add a name for a snapshot, within a transaction."""
        self._add({'pin': name, 'snapshot': snapshot, 'time': time})

    def _add(self, line: Line) -> None:
        self._apply(line)
        self._lines.append(line)

    def _note(self, applied: int) -> None:
        self.db.execute('UPDATE journal SET applied = ?', (applied,))

    def _catch_up(self) -> None:
        """Bring database and journal to the same state, after a kill, a power cut or a loss."""
        applied = int(self.db.execute('SELECT applied FROM journal').fetchone()[0])
        if self._journal.size() == applied:
            return
        self._journal.mend()
        size = self._journal.size()
        if size < applied:
            size = self._journal.replace(database.registrations(self.db))
        elif size > applied:
            for line in self._journal.read(applied):
                self._apply(line)
        self._note(size)

    def _apply(self, line: Line) -> None:
        """Write a line of the journal into the database.

        Raises:
            CatalogueError: It does not continue the chain.
        """
        if 'pin' in line:
            self.db.execute('INSERT INTO pins VALUES (?, ?, ?)',
                            (line['pin'], line['snapshot'], line['time']))
            return
        sequence, chain = self._head
        kind, name, *content = line['content']
        following = database.link(chain, line['content'])
        if (sequence + 1, following.hex()) != (line['sequence'], line['chain']):
            raise CatalogueError(
                f'{self._journal.path}: registration {line["sequence"]} of {name} does not follow '
                f'registration {sequence} of the catalogue: the file was changed, or belongs to '
                'another store. Restore it, or delete it and add the folders anew')
        if kind == 'episode':
            self.db.execute(
                'INSERT OR IGNORE INTO episodes (name, folder, robot, task, instruction, origin) '
                'VALUES (?, ?, ?, ?, ?, ?)', (name, line['folder'], *content[:4]))
        number = self.db.execute(
            'SELECT number FROM episodes WHERE name = ?', (name,)).fetchone()[0]
        if kind == 'episode':
            custom = content[4]
            self.db.execute(
                'INSERT INTO descriptions VALUES (?, ?, ?, ?, ?)',
                (sequence + 1, number, json.loads(custom).get('label', ''), custom, following))
        else:
            self.db.execute(
                'INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
                (sequence + 1, number, *content, following))
        self._head = (sequence + 1, following)


def rebuild(store: Path) -> None:
    """Make the database of a store again from its journal; the old one is kept beside, renamed.

    Raises:
        CatalogueError: There is no journal, or it is damaged.
    """
    if not (store / JOURNAL).is_file():
        raise CatalogueError(
            f'{store} has no {JOURNAL} to make the catalogue from; add its folders anew '
            '(Catalogue.add_folder)')
    set_aside(store)
    Registry(store).db.close()


def set_aside(store: Path) -> None:
    """Rename the database of a store, so that the next one to open it begins a new one."""
    for suffix in ('', '-wal', '-shm'):
        path = store / (database.FILE + suffix)
        if path.exists():
            path.rename(path.with_name(f'{path.name}.old'))
