# SPDX-License-Identifier: Apache-2.0
"""Writes episodes in a thread of its own, behind a queue of bounded size.

A disk that hangs stalls neither the reception of messages nor the node; what finds no room in the
queue is dropped and counted. Several times a second all is handed to the operating system, so that
a killed process loses no more than that.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lwd_data.errors import DataError, WriteError
from lwd_data.recovery import recover
from lwd_data.writer import SEGMENT_SECONDS, EpisodeWriter

_WAKE = 0.1


@dataclass(frozen=True)
class Progress:
    """What became of an episode on disk."""

    episode_id: str
    segments: int
    """Closed ones."""
    closed: bool = False
    """Nothing more will be written."""
    error: str = ''
    """Why it was given up; what is on disk was kept."""


class _Begin(NamedTuple):
    folder: Path
    custom: Mapping[str, str]


class _Message(NamedTuple):
    topic: str
    type_name: str
    data: bytes
    stamp_ns: int


class _End(NamedTuple):
    custom: Mapping[str, str]


class Sink:
    """One episode at a time; `begin`, `write` and `end` return at once."""

    def __init__(
        self, *, segment_seconds: float = SEGMENT_SECONDS, limit_bytes: int = 64 << 20,
        patience: float = 0.0,
    ) -> None:
        """Start the thread.

        Args:
            segment_seconds: Length of a segment, s of the messages' time.
            limit_bytes: What may wait for the disk.
            patience: How long a message waits for room before it is dropped, s. Only where whoever
                sends can be kept waiting.
        """
        self.dropped: Counter[str] = Counter()
        """By topic: messages that found no room in the queue, or whose episode was given up."""
        self._segment_seconds = segment_seconds
        self._limit, self._patience = limit_bytes, patience
        self._changed = threading.Condition()
        # The condition guards these.
        self._queue: deque[_Begin | _Message | _End] = deque()
        self._waiting = 0
        self._urgent = False
        self._stopping = False
        self._progress: list[Progress] = []
        # The thread alone uses these.
        self._writer: EpisodeWriter | None = None
        self._told = 0
        self._thread = threading.Thread(target=self._run, name='recorder', daemon=True)
        self._thread.start()

    def begin(self, folder: Path, custom: Mapping[str, str]) -> None:
        """Begin an episode; its folder must not exist."""
        self._put(_Begin(folder, dict(custom)))

    def write(self, topic: str, type_name: str, data: bytes, stamp_ns: int) -> bool:
        """Append a message; returns False if it was dropped."""
        with self._changed:
            room = self._waiting + len(data) <= self._limit
            if not room and self._patience > 0.0:
                self._urgent = True
                self._changed.notify_all()
                room = self._changed.wait_for(
                    lambda: self._waiting + len(data) <= self._limit, timeout=self._patience)
            if not room:
                self.dropped[topic] += 1
                return False
            self._waiting += len(data)
            self._queue.append(_Message(topic, type_name, data, stamp_ns))
        return True

    def end(self, custom: Mapping[str, str]) -> None:
        """Finish the episode."""
        self._put(_End(dict(custom)))

    def _put(self, job: _Begin | _End) -> None:
        with self._changed:
            self._queue.append(job)
            self._urgent = True
            self._changed.notify_all()

    def progress(self) -> list[Progress]:
        """Return what has happened since the last call."""
        with self._changed:
            found, self._progress = self._progress, []
        return found

    @property
    def waiting_bytes(self) -> int:
        """How much waits for the disk."""
        return self._waiting

    def stop(self, patience: float = 30.0) -> None:
        """Write what is queued, give up an episode that was not ended, end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(patience)

    def _run(self) -> None:
        while True:
            with self._changed:
                # Not woken for every message: a thread's change costs more than a write.
                self._changed.wait_for(lambda: self._urgent or self._stopping, timeout=_WAKE)
                batch, self._queue = self._queue, deque()
                self._urgent = False
                stopping = self._stopping
            for job in batch:
                self._do(job)
            written = sum(len(job.data) for job in batch if isinstance(job, _Message))
            if written:
                with self._changed:
                    self._waiting -= written
                    self._changed.notify_all()
            self._flush()
            if stopping and not self._queue:
                if self._writer is not None:
                    self._give_up('the recorder was stopped')
                return

    def _do(self, job: _Begin | _Message | _End) -> None:
        try:
            if isinstance(job, _Message):
                if self._writer is None:
                    self.dropped[job.topic] += 1
                    return
                self._writer.write(*job)
                if self._writer.segments != self._told:
                    self._tell(self._writer)
            elif isinstance(job, _Begin):
                self._told = 0
                try:
                    self._writer = EpisodeWriter(
                        job.folder, job.custom, segment_seconds=self._segment_seconds)
                except WriteError as error:
                    self._add(Progress(job.folder.name, 0, closed=True, error=str(error)))
            elif self._writer is not None:
                self._writer.close(job.custom)
                writer, self._writer = self._writer, None
                self._tell(writer, closed=True)
        except DataError as error:
            self._give_up(str(error))

    def _flush(self) -> None:
        if self._writer is None:
            return
        try:
            self._writer.flush()
        except DataError as error:
            self._give_up(str(error))

    def _give_up(self, error: str) -> None:
        assert self._writer is not None  # noqa: S101  only a writer fails
        writer, self._writer = self._writer, None
        with contextlib.suppress(DataError, OSError):
            writer.flush()
        writer.abandon()
        # Where the disk is full this fails as well, and is done at the next start.
        with contextlib.suppress(DataError, OSError):
            recover(writer.folder, {'label': 'none', 'detail': error})
        self._add(Progress(writer.folder.name, writer.segments, closed=True, error=error))

    def _tell(self, writer: EpisodeWriter, *, closed: bool = False) -> None:
        self._told = writer.segments
        self._add(Progress(writer.folder.name, writer.segments, closed=closed))

    def _add(self, progress: Progress) -> None:
        with self._changed:
            self._progress.append(progress)
