# SPDX-License-Identifier: Apache-2.0
"""Finds the messages of an uncompressed MCAP file: where each one's bytes lie.

Only what an index needs: no schemas are parsed and no message is copied. The file must be whole:
its chunks' checksums are held against their bytes.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from lwd_data.errors import IndexFileError

_MAGIC = b'\x89MCAP0\r\n'
_HEADER = struct.Struct('<BQ')
_MESSAGE = struct.Struct('<HIQQ')
_CHUNK = struct.Struct('<QQQI')
_SCHEMA, _CHANNEL, _MESSAGE_CODE, _CHUNK_CODE, _FOOTER = 0x03, 0x04, 0x05, 0x06, 0x02
# Footer record: opcode, length, two offsets and a checksum.
_TAIL = 9 + 20 + len(_MAGIC)


@dataclass
class Topic:
    """The messages of one topic, in the order of their stamps; file order where those agree."""

    name: str
    type_name: str
    encoding: str
    offset: list[int] = field(default_factory=list)
    """Of a message's first byte in the file."""
    length: list[int] = field(default_factory=list)
    stamp_ns: list[int] = field(default_factory=list)


@dataclass
class Scan:
    """Where everything in a file is."""

    path: Path
    data: bytes
    """The whole file."""
    topics: dict[str, Topic]


class _Scanner:
    def __init__(self, path: Path, data: bytes) -> None:
        self._path, self._data = path, data
        self._schemas: dict[int, str] = {}
        self._topics: dict[int, Topic] = {}

    def run(self) -> dict[str, Topic]:
        data = self._data
        if data[:len(_MAGIC)] != _MAGIC:
            raise IndexFileError(f'{self._path} is no MCAP file: it begins with {data[:8]!r}')
        if len(data) < _TAIL or data[-len(_MAGIC):] != _MAGIC or data[-_TAIL] != _FOOTER:
            raise IndexFileError(
                f'{self._path} is truncated: it has no footer after {len(data)} bytes; recover it '
                '(lwd_data.recovery.recover) or fetch it again')
        self._records(len(_MAGIC), len(data) - _TAIL)
        for topic in self._topics.values():
            _sort(topic)
        return {topic.name: topic for topic in self._topics.values()}

    def _records(self, at: int, end: int) -> None:
        data, header, message = self._data, _HEADER, _MESSAGE
        topics = self._topics
        while at < end:
            if at + 9 > end:
                raise self._cut(at, 9, end)
            code, length = header.unpack_from(data, at)
            at += 9
            if at + length > end:
                raise self._cut(at, length, end)
            if code == _MESSAGE_CODE:
                channel, _, stamp, _ = message.unpack_from(data, at)
                topic = topics.get(channel)
                if topic is None:
                    raise IndexFileError(
                        f'{self._path}: the message at byte {at} is of channel {channel}, which '
                        'was not declared before; the file is damaged')
                topic.offset.append(at + 22)
                topic.length.append(length - 22)
                topic.stamp_ns.append(stamp)
            elif code == _CHUNK_CODE:
                self._records(*self._chunk(at, length))
            elif code == _SCHEMA:
                name, _ = self._text(at + 2)
                self._schemas[int.from_bytes(data[at:at + 2], 'little')] = name
            elif code == _CHANNEL:
                self._channel(at)
            at += length

    def _cut(self, at: int, length: int, end: int) -> IndexFileError:
        return IndexFileError(
            f'{self._path} is damaged: the record at byte {at} wants {length} bytes, '
            f'{end - at} are left')

    def _text(self, at: int) -> tuple[str, int]:
        length = int.from_bytes(self._data[at:at + 4], 'little')
        return self._data[at + 4:at + 4 + length].decode(errors='replace'), at + 4 + length

    def _chunk(self, at: int, length: int) -> tuple[int, int]:
        """Check a chunk; returns where its records begin and end."""
        checksum = _CHUNK.unpack_from(self._data, at)[3]
        compression, begin = self._text(at + _CHUNK.size)
        if compression:
            raise IndexFileError(
                f'{self._path} has chunks compressed with {compression!r}; replay reads messages '
                'by their offset: write it again uncompressed '
                '(mcap compress --compression none)')
        size = int.from_bytes(self._data[begin:begin + 8], 'little')
        begin += 8
        if begin + size != at + length:
            raise self._cut(begin, size, at + length)
        if checksum and zlib.crc32(memoryview(self._data)[begin:begin + size]) != checksum:
            raise IndexFileError(
                f'{self._path} is damaged: the checksum of the chunk at byte {at} does not fit '
                'its bytes; fetch the file again')
        return begin, begin + size

    def _channel(self, at: int) -> None:
        number, schema = struct.unpack_from('<HH', self._data, at)
        name, at = self._text(at + 4)
        encoding, _ = self._text(at)
        if number not in self._topics:
            self._topics[number] = Topic(name, self._schemas.get(schema, ''), encoding)


def _sort(topic: Topic) -> None:
    stamps = topic.stamp_ns
    if all(a <= b for a, b in pairwise(stamps)):
        return
    order = sorted(range(len(stamps)), key=stamps.__getitem__)
    topic.offset = [topic.offset[i] for i in order]
    topic.length = [topic.length[i] for i in order]
    topic.stamp_ns = [stamps[i] for i in order]


def scan(path: Path, data: bytes) -> Scan:
    """Find the messages of a file.

    Args:
        path: Named in errors.
        data: The file's bytes.

    Raises:
        IndexFileError: It is no MCAP file, truncated, damaged or compressed.
    """
    try:
        return Scan(path, data, _Scanner(path, data).run())
    except struct.error as error:
        raise IndexFileError(f'{path} is damaged: {error}') from error
