# SPDX-License-Identifier: Apache-2.0
"""One immutable version of the replay store."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from lwd_data.errors import CatalogueError
from lwd_data.replay.index import index_path
from lwd_data.replay.records import EpisodeRecord, SegmentRecord

FILE = 'catalogue.sqlite'
START = bytes(32)
"""Of the chain of hashes, before the first registration."""
_NAMED = 5


@dataclass(frozen=True)
class Snapshot:
    """All segments registered up to a sequence number."""

    store: Path
    sequence: int
    """Of the last registration that it holds; 0 if it is empty."""
    id: str
    """SHA-256 over all registrations up to there, hex."""

    def episodes(self) -> Iterator[EpisodeRecord]:
        """Yield its episodes in the order they came, each with its segments from 0 on.

        Raises:
            CatalogueError: The catalogue is not there, or holds other registrations.
        """
        path = self.store / FILE
        try:
            with closing(sqlite3.connect(f'file:{path}?mode=ro', uri=True, timeout=60.0)) as db:
                self._check_chain(db)
                yield from self._read(db)
        except sqlite3.Error as error:
            raise CatalogueError(f'cannot read the catalogue {path}: {error}') from error

    def _check_chain(self, db: sqlite3.Connection) -> None:
        row = db.execute(
            'SELECT chain FROM segments WHERE sequence = ?', (self.sequence,)).fetchone()
        found = bytes(row[0]).hex() if row is not None else START.hex()
        if found != self.id:
            raise CatalogueError(
                f'the catalogue of {self.store} has {found[:12]} at registration {self.sequence}, '
                f'not {self.id[:12]}: the snapshot is of another store, or the catalogue was made '
                'anew from files in another order')

    def _read(self, db: sqlite3.Connection) -> Iterator[EpisodeRecord]:
        rows = db.execute(
            'SELECT e.name, e.folder, e.robot, e.task, e.instruction, e.origin, s.number, s.file, '
            's.size, s.sha256, s.recovered, s.custom FROM segments s JOIN episodes e '
            'ON s.episode = e.number WHERE s.sequence <= ? ORDER BY s.episode, s.number',
            (self.sequence,))
        first: tuple[str, ...] = ()
        segments: list[SegmentRecord] = []
        custom = ''
        for row in rows:
            if row[:6] != first:
                if segments:
                    yield self._record(first, segments, custom)
                first, segments = row[:6], []
            # Behind a gap nothing can be joined: those segments wait for the missing one.
            if row[6] == len(segments):
                segments.append(SegmentRecord(row[6], row[7], row[8], row[9], bool(row[10])))
                custom = row[11]
        if segments:
            yield self._record(first, segments, custom)

    def _record(
        self, row: tuple[str, ...], segments: list[SegmentRecord], custom: str,
    ) -> EpisodeRecord:
        name, folder, robot, task, instruction, origin = row
        known = json.loads(custom)
        return EpisodeRecord(
            name, self.store / folder, robot, task, instruction, origin,  # type: ignore[arg-type]
            known.get('label', ''), tuple(segments), known)


def check_files(records: list[EpisodeRecord]) -> None:
    """Make sure that the files of episodes are there, of the size that was registered.

    Raises:
        CatalogueError: Some are not; the message names them.
    """
    wrong = []
    for record in records:
        for number, segment in enumerate(record.segments):
            path = record.path(number)
            try:
                size = path.stat().st_size
                if size != segment.size:
                    wrong.append(f'{path} has {size} bytes, not {segment.size}')
                elif not index_path(path).is_file():
                    wrong.append(
                        f'{index_path(path)} is missing (adding the folder again makes it)')
            except OSError:
                wrong.append(f'{path} is missing')
    if wrong:
        more = f'; and {len(wrong) - _NAMED} more' if len(wrong) > _NAMED else ''
        raise CatalogueError(
            f'{len(wrong)} files of the snapshot are not as they were registered: '
            f'{"; ".join(wrong[:_NAMED])}{more}')
