# SPDX-License-Identifier: Apache-2.0
"""Messages to CDR with zeros between the fields.

Fast CDR leaves whatever was in memory in the bytes that align a field, and behind the last one.
They mean nothing, but with them the same episode would never give the same file twice.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Callable
from typing import Any

from rclpy.serialization import serialize_message

from lwd_data.errors import SchemaError

# Encapsulation header; alignment counts from behind it.
_HEADER = 4
_SIZES = {
    'boolean': 1, 'octet': 1, 'uint8': 1, 'int8': 1, 'char': 1, 'uint16': 2, 'int16': 2,
    'uint32': 4, 'int32': 4, 'float': 4, 'uint64': 8, 'int64': 8, 'double': 8}
_ARRAY = re.compile(r'(?P<kind>[^\[<]+)\[(?P<count>\d+)\]$')
_SEQUENCE = re.compile(r'sequence<(?P<kind>[^,>]+)(, \d+)?>$')

Walk = Callable[[bytearray, int], int]
"""Zeroes the padding of one field at an offset; returns the offset behind it."""


def serialize(message: Any) -> bytes:
    """Return a ROS message in CDR, its padding zero."""
    data = bytearray(serialize_message(message))
    kind: Any = type(message)
    end = _walk_of(kind)(data, _HEADER)
    # The middleware estimates the size, at times too high.
    data[end:] = bytes(len(data) - end)
    return bytes(data)


@functools.cache
def _walk_of(kind: Any) -> Walk:
    walks = [_field(text) for text in kind.get_fields_and_field_types().values()]

    def walk(data: bytearray, at: int) -> int:
        for step in walks:
            at = step(data, at)
        return at

    return walk


def _field(text: str) -> Walk:
    if text in _SIZES:
        return functools.partial(_primitives, size=_SIZES[text], count=1)
    if text == 'string':
        return _string
    if (array := _ARRAY.match(text)) is not None:
        return _repeated(array['kind'], int(array['count']))
    if (sequence := _SEQUENCE.match(text)) is not None:
        return _sequence(sequence['kind'])
    if '/' in text:
        package, _, name = text.rpartition('/')
        return _walk_of(getattr(importlib.import_module(package.partition('/')[0] + '.msg'), name))
    raise SchemaError(f'a field of type {text!r} cannot be serialized; LWD uses none such')


def _aligned(data: bytearray, at: int, size: int) -> int:
    gap = -(at - _HEADER) % size
    if gap:
        data[at:at + gap] = bytes(gap)
    return at + gap


def _primitives(data: bytearray, at: int, *, size: int, count: int) -> int:
    # Nothing is aligned for what has no elements.
    return _aligned(data, at, size) + size * count if count else at


def _length(data: bytearray, at: int) -> tuple[int, int]:
    at = _aligned(data, at, 4)
    return int.from_bytes(data[at:at + 4], 'little'), at + 4


def _string(data: bytearray, at: int) -> int:
    length, at = _length(data, at)
    return at + length


def _repeated(kind: str, count: int) -> Walk:
    if kind in _SIZES:
        return functools.partial(_primitives, size=_SIZES[kind], count=count)
    element = _field(kind)

    def walk(data: bytearray, at: int) -> int:
        for _ in range(count):
            at = element(data, at)
        return at

    return walk


def _sequence(kind: str) -> Walk:
    size = _SIZES.get(kind)
    element = None if size else _field(kind)

    def walk(data: bytearray, at: int) -> int:
        count, at = _length(data, at)
        if element is None:
            return _primitives(data, at, size=size or 1, count=count)
        for _ in range(count):
            at = element(data, at)
        return at

    return walk
