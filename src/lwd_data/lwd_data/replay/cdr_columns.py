# SPDX-License-Identifier: Apache-2.0
"""Many CDR messages of one type at once, as arrays.

Where a field lies in CDR depends only on the lengths of the strings and sequences before it.
Messages that agree in those, and in what their strings say, form a group; a group's numbers are
columns of one byte matrix. A recording has few groups a topic, so that hardly any work is done a
message.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwd_data.errors import IndexFileError, SchemaError

_ENCAPSULATION = b'\x00\x01\x00\x00'
"""Plain CDR, little-endian."""
_NUMBERS = {
    'boolean': '?', 'octet': 'u1', 'uint8': 'u1', 'int8': 'i1', 'char': 'u1', 'uint16': '<u2',
    'int16': '<i2', 'uint32': '<u4', 'int32': '<i4', 'float': '<f4', 'uint64': '<u8',
    'int64': '<i8', 'double': '<f8'}
_TIME = 'builtin_interfaces/Time'
_TIME_TYPE = np.dtype([('sec', '<i4'), ('nanosec', '<u4')])
_SEQUENCE = re.compile(r'sequence<(?P<kind>[^,>]+)(, \d+)?>$')


@dataclass(frozen=True)
class _Field:
    name: str
    sequence: bool
    dtype: np.dtype[Any] | None
    """None for strings."""
    align: int


@dataclass(frozen=True)
class _Slot:
    start: int
    count: int
    dtype: np.dtype[Any] | None


@dataclass(frozen=True)
class Group:
    """Messages of equal layout and equal strings."""

    rows: NDArray[np.int64]
    """(M,) which of the messages asked for."""
    _bytes: NDArray[np.uint8]
    _slots: dict[str, _Slot]
    _texts: dict[str, tuple[str, ...]]
    _start: NDArray[np.int64]

    def text(self, name: str) -> str:
        """Return what a string field says in all of them."""
        return self._texts[name][0]

    def texts(self, name: str) -> tuple[str, ...]:
        """Return what a field of strings says in all of them."""
        return self._texts[name]

    def number(self, name: str) -> NDArray[Any]:
        """Return a field of one number, (M,)."""
        return self.numbers(name)[:, 0]

    def numbers(self, name: str) -> NDArray[Any]:
        """Return a sequence of numbers, (M, count)."""
        slot = self._slots[name]
        assert slot.dtype is not None  # noqa: S101  (strings are in _texts)
        size = slot.dtype.itemsize * slot.count
        part = np.ascontiguousarray(self._bytes[:, slot.start:slot.start + size])
        return part.view(slot.dtype).reshape(len(part), slot.count)

    def nanoseconds(self, name: str) -> NDArray[np.int64]:
        """Return a field of stamps in ns, (M, count)."""
        times = self.numbers(name)
        return times['sec'].astype(np.int64) * 1_000_000_000 + times['nanosec']

    def span(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return where the last field's elements begin in the buffer, and how many there are."""
        slot = self._slots[name]
        counts = self._bytes[:, slot.start:slot.start + 4]
        begin = self._start + slot.count
        return begin, np.ascontiguousarray(counts).view('<u4')[:, 0].astype(np.int64)


class CdrColumns:
    """Reads messages of one type up to a field."""

    def __init__(self, kind: Any, last: str, *, span: bool = False) -> None:
        """Prepare for a type.

        Args:
            kind: The message class.
            last: The last field that is wanted; what follows it is not looked at.
            span: Whether that is a long sequence of which only the place is wanted.
        """
        fields = list(_flat(kind, ''))
        names = [field.name for field in fields]
        self._fields = fields[:names.index(last) + 1]
        self._span = span
        self.name: str = kind.__name__

    def groups(
        self, where: str, data: bytes, offset: Sequence[int], length: Sequence[int],
    ) -> Iterator[Group]:
        """Yield messages in groups.

        Args:
            where: File and topic, for errors.
            data: What holds them.
            offset: (N,) of each message's first byte.
            length: (N,) bytes.

        Raises:
            IndexFileError: A message is shorter than its type, or in another encoding.
        """
        starts, lengths = np.asarray(offset, np.int64), np.asarray(length, np.int64)
        rows = np.arange(len(starts))
        view = memoryview(data)
        while len(rows):
            first = int(rows[0])
            message = bytes(view[offset[first]:offset[first] + length[first]])
            slots, texts, fixed, size = self._layout(message, where, offset[first])
            fits = lengths[rows] >= size
            candidates = rows[fits]
            matrix = np.frombuffer(
                b''.join([view[at:at + size] for at in starts[candidates].tolist()]),
                np.uint8).reshape(len(candidates), size)
            same = (matrix[:, fixed] == matrix[0, fixed]).all(axis=1)
            members = candidates[same]
            group = Group(
                members, matrix[same] if not same.all() else matrix, slots, texts,
                starts[members])
            if self._span:
                self._check_span(group, where, lengths[members])
            yield group
            rows = np.concatenate((rows[~fits], candidates[~same]))
            rows.sort()

    def _check_span(self, group: Group, where: str, length: NDArray[np.int64]) -> None:
        field = self._fields[-1]
        begin, count = group.span(field.name)
        size = field.dtype.itemsize if field.dtype is not None else 1
        wrong = begin + count * size > group._start + length  # noqa: SLF001
        if wrong.any():
            at = int(group._start[wrong][0])  # noqa: SLF001
            raise IndexFileError(
                f'{where}: {field.name} of the {self.name} at byte {at} is longer than the '
                'message; the file is damaged')

    def _layout(
        self, data: bytes, where: str, place: int,
    ) -> tuple[dict[str, _Slot], dict[str, tuple[str, ...]], NDArray[np.bool_], int]:
        if data[:4] != _ENCAPSULATION:
            raise IndexFileError(
                f'{where}: the {self.name} at byte {place} begins with {data[:4].hex()}; only '
                f'plain little-endian CDR ({_ENCAPSULATION.hex()}) can be read')
        walk = _Walk(data)
        slots: dict[str, _Slot] = {}
        texts: dict[str, tuple[str, ...]] = {}
        try:
            for field in self._fields:
                if self._span and field is self._fields[-1]:
                    at = walk.align(4)
                    walk.skip(4)
                    size = walk.at
                    # Not aligned where there are no elements, but then the place is not used.
                    slots[field.name] = _Slot(at, walk.align(field.align), None)
                    walk.at = size
                elif field.dtype is None:
                    count = walk.length() if field.sequence else 1
                    texts[field.name] = tuple(walk.text() for _ in range(count))
                else:
                    count = walk.length() if field.sequence else 1
                    at = walk.align(field.align) if count else walk.at
                    slots[field.name] = _Slot(at, count, field.dtype)
                    walk.skip(count * field.dtype.itemsize)
        except (IndexError, UnicodeDecodeError) as error:
            raise IndexFileError(
                f'{where}: {field.name} of the {self.name} at byte {place} goes beyond the '
                f'message or is no text ({error}); the file is damaged') from error
        fixed = np.zeros(walk.at, bool)
        fixed[walk.fixed] = True
        return slots, texts, fixed, walk.at


class _Walk:
    """Goes through one message and notes which bytes decide where the rest lies."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 4
        self.fixed: list[int] = [0, 1, 2, 3]

    def align(self, size: int) -> int:
        self.at += -(self.at - 4) % size
        return self.at

    def skip(self, size: int) -> None:
        self.at += size
        if self.at > len(self._data):
            raise IndexError(f'{self.at} of {len(self._data)} bytes')

    def length(self) -> int:
        begin = self.align(4)
        self.skip(4)
        self.fixed.extend(range(begin, self.at))
        count = int.from_bytes(self._data[begin:self.at], 'little')
        if count > len(self._data):
            raise IndexError(f'a length of {count} in {len(self._data)} bytes')
        return count

    def text(self) -> str:
        length = self.length()
        begin = self.at
        self.skip(length)
        self.fixed.extend(range(begin, self.at))
        return self._data[begin:self.at].rstrip(b'\x00').decode()


def _flat(kind: Any, prefix: str) -> Iterator[_Field]:
    """Yield the fields of a type, those of a nested message as its own; stamps stay whole."""
    for name, text in kind.get_fields_and_field_types().items():
        sequence = _SEQUENCE.match(text)
        element = sequence['kind'] if sequence else text
        full = prefix + name
        if element == 'string':
            yield _Field(full, sequence is not None, None, 4)
        elif element == _TIME:
            yield _Field(full, sequence is not None, _TIME_TYPE, 4)
        elif element in _NUMBERS:
            dtype = np.dtype(_NUMBERS[element])
            yield _Field(full, sequence is not None, dtype, dtype.itemsize)
        elif sequence is None and '/' in element:
            yield from _flat(_class(element), full + '.')
        else:
            raise SchemaError(f'{kind.__name__}.{name} of type {text!r} cannot be read in columns')


@functools.cache
def _class(name: str) -> Any:
    package, _, short = name.rpartition('/')
    return getattr(importlib.import_module(package.partition('/')[0] + '.msg'), short)
