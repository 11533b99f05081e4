# SPDX-License-Identifier: Apache-2.0
"""Writes an episode: a folder of MCAP segments that rosbag2, Foxglove and LWD's learner read.

Segments are uncompressed (JPEG does not compress, and a byte offset is then enough to read a
message), profile `ros2`, with schemas. A segment being written ends in `.open`; closing it makes
it durable (fsync) and gives it its name, so that a file with a final name is always whole.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from mcap.writer import CompressionType, IndexType, Writer

from lwd_data import metadata as metadata_file
from lwd_data.errors import WriteError
from lwd_data.metadata import Metadata, Segment
from lwd_data.schemas import definition

SEGMENT_SECONDS = 10.0
OPEN = '.open'
# What a kill can lose of an open segment: the last chunk, 0.1 s at 3 MB/s.
_CHUNK_BYTES = 256 * 1024
_SECOND = 1_000_000_000


class SegmentWriter:
    """One MCAP file."""

    def __init__(self, path: Path) -> None:
        """Begin a file; `path` is its final name.

        Raises:
            WriteError: It exists already, or the folder cannot be written.
        """
        self.path = path
        self._open = path.with_name(path.name + OPEN)
        if path.exists() or self._open.exists():
            raise WriteError(f'{path} exists already; an episode is never overwritten')
        try:
            self._file: BinaryIO = self._open.open('xb')
        except OSError as error:
            raise WriteError(f'cannot write {self._open}: {error.strerror}') from error
        self._writer = Writer(
            self._file, chunk_size=_CHUNK_BYTES, compression=CompressionType.NONE,
            index_types=IndexType.ALL)
        # A constant library name: the same episode gives the same bytes.
        self._writer.start(profile='ros2', library='lwd_data')
        self._channels: dict[str, int] = {}
        self._schemas: dict[str, int] = {}
        self._sequence: dict[str, int] = {}
        self.segment = Segment(path.name, 0, 0)

    def write(self, topic: str, type_name: str, data: bytes, stamp_ns: int) -> None:
        """Append a message in CDR."""
        channel = self._channels.get(topic)
        if channel is None:
            channel = self._add_channel(topic, type_name)
        sequence = self._sequence[topic]
        self._writer.add_message(channel, stamp_ns, data, stamp_ns, sequence)
        self._sequence[topic] = sequence + 1
        segment = self.segment
        if not segment.counts or stamp_ns < segment.begin_ns:
            segment.begin_ns = stamp_ns
        segment.end_ns = max(segment.end_ns, stamp_ns)
        segment.counts[topic] = segment.counts.get(topic, 0) + 1

    def _add_channel(self, topic: str, type_name: str) -> int:
        if type_name not in self._schemas:
            self._schemas[type_name] = self._writer.register_schema(
                type_name, 'ros2msg', definition(type_name).encode())
        channel = self._writer.register_channel(
            topic, 'cdr', self._schemas[type_name], {'offered_qos_profiles': ''})
        self._channels[topic] = channel
        self._sequence[topic] = 0
        return channel

    def flush(self) -> None:
        """Hand what was written to the operating system: a kill cannot take it any more."""
        self._writer.flush()  # type: ignore[no-untyped-call]

    def close(self, *, durable: bool = True) -> Segment:
        """Finish the file and give it its name.

        Args:
            durable: Whether to wait until it is on disk.
        """
        self._writer.finish()  # type: ignore[no-untyped-call]
        self._file.flush()
        if durable:
            os.fsync(self._file.fileno())
        self._file.close()
        self._open.rename(self.path)
        if durable:
            _sync_folder(self.path.parent)
        return self.segment

    def abandon(self) -> None:
        """Leave the file as it is, unfinished, for recovery."""
        # What is still buffered may not fit on the disk either.
        with contextlib.suppress(OSError):
            self._file.close()


class EpisodeWriter:
    """Writes one episode into a folder of its own. Not thread-safe."""

    def __init__(
        self, folder: Path, custom: Mapping[str, str], *,
        segment_seconds: float = SEGMENT_SECONDS, durable: bool = True,
    ) -> None:
        """Begin an episode; its name is that of the folder.

        Args:
            folder: Made by this call.
            custom: What to keep with it: task, instruction, robot, ...
            segment_seconds: Length of a segment in the stamps' time, s.
            durable: Whether closing a segment waits for the disk, and metadata.yaml is there from
                the beginning, so that also a killed episode says what it is of. Recorders must; a
                generator that can repeat an episode need not.

        Raises:
            WriteError: The folder exists or cannot be made.
        """
        try:
            folder.mkdir(parents=True)
        except FileExistsError as error:
            raise WriteError(
                f'{folder} exists already; an episode is never overwritten') from error
        except OSError as error:
            raise WriteError(f'cannot make {folder}: {error.strerror}') from error
        self.folder = folder
        self._segment_ns = round(segment_seconds * _SECOND)
        self._durable = durable
        self._metadata = Metadata(custom=dict(custom))
        self._writer: SegmentWriter | None = None
        self._begin_ns = 0
        self._closed = False
        if durable:
            try:
                metadata_file.write(folder, self._metadata)
            except OSError as error:
                raise WriteError(f'cannot write to {folder}: {error.strerror}') from error

    @property
    def segments(self) -> int:
        """How many segments are closed."""
        return len(self._metadata.segments)

    def write(self, topic: str, type_name: str, data: bytes, stamp_ns: int) -> None:
        """Append a message in CDR; begins a new segment when the present one is full.

        Raises:
            WriteError: The episode is closed, the topic had another type, or the disk refuses.
        """
        if self._closed:
            raise WriteError(f'{self.folder.name} is closed; nothing can be added to it')
        known = self._metadata.topics.setdefault(topic, type_name)
        if known != type_name:
            raise WriteError(f'{topic} is of type {known}, and cannot be of {type_name} as well')
        if self._writer is not None and stamp_ns - self._begin_ns >= self._segment_ns:
            self.close_segment()
        if self._writer is None:
            name = f'{self.folder.name}_{len(self._metadata.segments)}.mcap'
            self._writer = SegmentWriter(self.folder / name)
            self._begin_ns = stamp_ns
        try:
            self._writer.write(topic, type_name, data, stamp_ns)
        except OSError as error:
            raise WriteError(f'cannot write to {self._writer.path}: {error.strerror}') from error

    def close_segment(self) -> Segment | None:
        """Finish the present segment early; returns it, or None if none is open.

        Raises:
            WriteError: The disk refuses.
        """
        if self._writer is None:
            return None
        try:
            segment = self._writer.close(durable=self._durable)
            self._writer = None
            self._metadata.segments.append(segment)
            metadata_file.write(self.folder, self._metadata)
        except OSError as error:
            raise WriteError(
                f'cannot finish a segment of {self.folder}: {error.strerror}') from error
        return segment

    def flush(self) -> None:
        """Hand what was written to the operating system: a kill cannot take it any more.

        Raises:
            WriteError: The disk refuses.
        """
        if self._writer is not None:
            try:
                self._writer.flush()
            except OSError as error:
                raise WriteError(
                    f'cannot write to {self._writer.path}: {error.strerror}') from error

    def abandon(self) -> None:
        """Leave the episode as a kill would, for recovery."""
        self._closed = True
        if self._writer is not None:
            self._writer.abandon()

    def close(self, custom: Mapping[str, str] | None = None) -> Metadata:
        """Finish the episode.

        Args:
            custom: What is known only now: label, score, ...; added to what was given before.
        """
        if not self._closed:
            self.close_segment()
            self._metadata.custom.update(custom or {})
            try:
                metadata_file.write(self.folder, self._metadata)
            except OSError as error:
                raise WriteError(f'cannot write to {self.folder}: {error.strerror}') from error
            self._closed = True
        return self._metadata

    def __enter__(self) -> EpisodeWriter:
        """Return the writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the episode; after an error leave it as a kill would, for recovery."""
        if kind is None:
            self.close()
        else:
            self.abandon()


def _sync_folder(folder: Path) -> None:
    """Make a rename durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
