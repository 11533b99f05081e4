# SPDX-License-Identifier: Apache-2.0
"""The catalogue of a replay store: which segments there are, in the order they came.

SQLite in WAL mode: one process registers while others read. Registrations are only ever added, so
that a snapshot is a sequence number and a hash: taken in no time, the same for every reader.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from lwd_data.errors import CatalogueError
from lwd_data.replay import database
from lwd_data.replay.ingest import Entry, ingest_all
from lwd_data.replay.records import EpisodeRecord, Origin, SegmentRecord
from lwd_data.replay.registry import Registry
from lwd_data.replay.snapshot import Snapshot


class Registered(NamedTuple):
    """One registration of a segment."""

    sequence: int
    file: str
    sha256: str
    custom: str
    """custom_data of its episode then, JSON."""


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
        self._registry = Registry(self.store)
        self._db = self._registry.db

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
            CatalogueError: A segment is registered already with other content, or there is no such
                folder.
        """
        if not folder.is_dir():
            raise CatalogueError(f'{folder} cannot be added: there is no such folder')
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
        with self._registry.transaction():
            return sum(self._register(entry) for entry in entries)

    def find(self, episode: str, number: int) -> Registered | None:
        """Return how a segment was registered; None if it was not."""
        row = self._db.execute(
            'SELECT s.sequence, s.file, s.sha256, (SELECT custom FROM descriptions d '
            'WHERE d.episode = e.number AND d.sequence < s.sequence ORDER BY d.sequence DESC '
            'LIMIT 1) FROM segments s JOIN episodes e ON s.episode = e.number '
            'WHERE e.name = ? AND s.number = ?', (episode, number)).fetchone()
        return None if row is None else Registered(*row)

    def described(self, episode: str) -> tuple[int, str] | None:
        """Return sequence number and custom_data of what was last said of an episode."""
        row = self._db.execute(
            'SELECT sequence, custom FROM descriptions WHERE episode = '
            '(SELECT number FROM episodes WHERE name = ?) ORDER BY sequence DESC LIMIT 1',
            (episode,)).fetchone()
        return None if row is None else (int(row[0]), str(row[1]))

    def segments_of(self, episode: str) -> list[SegmentRecord]:
        """Return what is registered of an episode, by number; there may be gaps."""
        return [SegmentRecord(number, file, size, sha256, bool(recovered))
                for number, file, size, sha256, recovered in self._db.execute(
                    'SELECT number, file, size, sha256, recovered FROM segments WHERE episode = '
                    '(SELECT number FROM episodes WHERE name = ?) ORDER BY number', (episode,))]

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
        with self._registry.transaction():
            known = self.pins().get(name)
            if known is not None and known[0] != snapshot.id:
                raise CatalogueError(
                    f'{name!r} is pinned to snapshot {known[0][:12]}, and cannot be to '
                    f'{snapshot.id[:12]} as well; choose another name')
            if known is None:
                self._registry.add_pin(name, snapshot.id, time.time())

    def pins(self) -> dict[str, tuple[str, float]]:
        """Return id and time, s since 1970, of each pinned snapshot by name, oldest first."""
        return {name: (snapshot, moment) for name, snapshot, moment in self._db.execute(
            'SELECT name, snapshot, time FROM pins ORDER BY time')}

    def _register(self, entry: Entry) -> bool:
        episode, segment = entry.episode, entry.segment
        folder = self._place(episode.folder)
        number = self._check_episode(episode)
        custom = None if number is None else self._db.execute(
            'SELECT custom FROM descriptions WHERE episode = ? ORDER BY sequence DESC LIMIT 1',
            (number,)).fetchone()
        if custom is None or custom[0] != episode.custom_text:
            self._registry.add(folder, database.description_content(
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
        self._registry.add(folder, database.segment_content(
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
