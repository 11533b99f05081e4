# SPDX-License-Identifier: Apache-2.0
"""One immutable version of the replay store."""

from __future__ import annotations

import gc
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lwd_data.errors import CatalogueError
from lwd_data.replay import database
from lwd_data.replay.records import EpisodeRecord, SegmentRecord


@dataclass(frozen=True)
class Snapshot:
    """All that was registered up to a sequence number. Small: it can be sent to other ranks."""

    store: Path
    sequence: int
    """Of the last registration that it holds; 0 if it is empty."""
    id: str
    """SHA-256 over all registrations up to there, hex; what a policy's card names."""

    def episodes(self) -> list[EpisodeRecord]:
        """Return its episodes in the order they came, each with its segments from 0 on.

        Segments behind a missing one are left out: they can be joined only when it is there.

        Raises:
            CatalogueError: The catalogue is not there, or holds other registrations.
        """
        with closing(database.connect(self.store, write=False)) as db:
            try:
                sequence = database.find_chain(db, bytes.fromhex(self.id))
                if sequence != self.sequence:
                    raise CatalogueError(
                        f'the catalogue of {self.store} does not have snapshot {self.id[:12]} at '
                        f'registration {self.sequence}: it is of another store, or its folders '
                        'were added anew in another order')
                with _without_collection():
                    return self._read(db)
            except sqlite3.Error as error:
                raise CatalogueError(
                    f'cannot read the catalogue of {self.store}: {error}') from error

    def _read(self, db: sqlite3.Connection) -> list[EpisodeRecord]:
        limit = (self.sequence,)
        segments: dict[int, list[SegmentRecord]] = {}
        # In the order of the table; sorting a million rows by episode would cost more.
        for episode, number, file, size, sha256, recovered in db.execute(
                'SELECT episode, number, file, size, sha256, recovered FROM segments '
                'WHERE sequence <= ? ORDER BY sequence', limit):
            segments.setdefault(episode, []).append(
                SegmentRecord(number, file, size, sha256, bool(recovered)))
        described = {episode: (label, custom) for episode, label, custom in db.execute(
            'SELECT episode, label, custom FROM descriptions WHERE sequence <= ? '
            'ORDER BY sequence', limit)}
        found = []
        share = sys.intern
        for number, name, folder, robot, task, instruction, origin in db.execute(
                'SELECT number, name, folder, robot, task, instruction, origin FROM episodes '
                'ORDER BY number'):
            if parts := _without_gap(segments.get(number, [])):
                label, custom = described[number]
                found.append(EpisodeRecord(
                    name, self.store / folder, share(robot), share(task), share(instruction),
                    share(origin),  # type: ignore[arg-type]
                    share(label), custom, parts))
        return found


def _without_gap(segments: list[SegmentRecord]) -> tuple[SegmentRecord, ...]:
    segments.sort()
    count = next((k for k, segment in enumerate(segments) if segment.number != k), len(segments))
    return tuple(segments[:count])


@contextmanager
def _without_collection() -> Iterator[None]:
    """Keep the garbage collector from going through a million new objects again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
