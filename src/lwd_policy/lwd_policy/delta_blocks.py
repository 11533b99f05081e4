# SPDX-License-Identifier: Apache-2.0
"""Blocks of floating-point bits, compressed without loss, alone or against a base.

After a few updates a weight has moved by a few units in the last place (ulp). So a block is coded
as the difference in ulp of each value, in an order that both sides know: by the exponent of the
base. Weights of one exponent move by similarly many ulp, and zstd makes a Huffman table for every
few KiB. Sixteen-bit differences below 15 are packed two to a byte, because a Huffman code
spends at least one bit a symbol and more than half the differences may be 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import zstandard

Bits = npt.NDArray[np.signedinteger[Any]]
"""(N,) bits of floats as integers of their width: int16 or int32."""

BLOCK = 1 << 20
"""Values in a block: the memory that coding takes, against the cost of starting anew."""

_LEVEL = 1  # higher ones look longer for repetitions, of which noise has none: slower, not smaller
_FLUSH = 8 << 10  # bytes that share a Huffman table; half is no smaller, 64 KiB up to 9 % larger
_PIECE = 1 << 18  # values that are put in order at once
_ESCAPE = 15
_KEPT = 16 << 20  # bytes: what decoding a block takes; glibc's limit is twice that
_MANY = 1 << 16  # values from which on counting them in pairs is faster


def keep_memory() -> None:
    """Have the memory that one block took kept for the next one.

    glibc gives memory back to the system at once if it is larger than all that was freed so far,
    and fetching it again, page by page, takes half as long as decoding.
    """
    np.empty(_KEPT, np.uint8)


def pack(bits: Bits) -> bytes:
    """Return a block compressed alone: its bytes grouped by significance, then zstd."""
    return _compress(_planes(bits))


def unpack(data: bytes | memoryview, count: int, dtype: npt.DTypeLike) -> Bits:
    """Return the block of `count` values of an integer type that `pack` compressed.

    Raises:
        ValueError: The data is not of such a block.
    """
    width = np.dtype(dtype).itemsize
    raw = _decompress(data, limit=count * width)
    if raw.size != count * width:
        raise ValueError(f'a block holds {raw.size} bytes instead of {count * width}')
    return _from_planes(raw, dtype)


def pack_difference(base: Bits, new: Bits, exponent: int) -> bytes:
    """Return a block compressed against a base of the same shape and type.

    Args:
        base: (N,) bits that the other side has.
        new: (N,) bits to code.
        exponent: Position of the exponent's lowest bit.
    """
    folded = _fold(_grouped(_rank(new) - _rank(base), base, exponent))
    if folded.itemsize != 2:
        return _compress(_planes(folded))
    escaped = folded >= _ESCAPE
    codes = np.zeros(folded.size + folded.size % 2, np.uint8)
    np.minimum(folded, _ESCAPE, out=codes[:folded.size], casting='unsafe')
    return _compress(np.concatenate(
        [codes[0::2] | (codes[1::2] << 4), _planes(folded[escaped])]))


def unpack_difference(base: Bits, data: bytes | memoryview, exponent: int) -> Bits:
    """Return the block that `pack_difference` compressed against this base.

    A base of other values gives other values: the caller compares a hash.

    Raises:
        ValueError: The data is not of a block of the base's length.
    """
    folded: npt.NDArray[Any] = (
        _unpack_short(data, base.size) if base.itemsize == 2
        else unpack(data, base.size, np.uint32))
    return _rank(_rank(base) + _ungrouped(_unfold(folded, base.dtype), base, exponent))


def _grouped(values: Bits, base: Bits, exponent: int) -> Bits:
    """Return values in the order of the base's exponents; those of one exponent stay in theirs."""
    found = np.empty_like(values)
    for piece, order, runs in _runs(base, exponent):
        taken, at = values[piece][order], 0
        for run in runs:
            size = run.stop - run.start
            found[run] = taken[at:at + size]
            at += size
    return found


def _ungrouped(grouped: Bits, base: Bits, exponent: int) -> Bits:
    """Return what `_grouped` put in order as it was."""
    found = np.empty_like(grouped)
    for piece, order, runs in _runs(base, exponent):
        found[piece][order] = np.concatenate([grouped[run] for run in runs])
    return found


def _runs(
    base: Bits, exponent: int,
) -> Iterator[tuple[slice, npt.NDArray[np.intp], list[slice]]]:
    """Yield pieces of a block: (where, the order of its exponents, their places in the whole's).

    Sorting a whole block at once takes three times as long, for memory that no cache holds.
    """
    keys = _keys(base, exponent)
    pieces = [slice(at, at + _PIECE) for at in range(0, keys.size, _PIECE)]
    counts = [_histogram(keys[piece]) for piece in pieces]
    # Where the values of each exponent begin that no piece has taken yet.
    total = np.sum(counts, axis=0)
    begin = np.cumsum(total) - total
    for piece, count in zip(pieces, counts):
        end = begin + count
        yield piece, np.argsort(keys[piece], kind='stable'), [
            slice(begin[key], end[key]) for key in np.flatnonzero(count)]
        begin = end


def _histogram(keys: npt.NDArray[np.uint8]) -> npt.NDArray[np.intp]:
    """Return how often each key is there, (256,)."""
    if keys.size < _MANY:
        return np.bincount(keys, minlength=256)
    # Two at a time: numpy makes eight bytes of each number that it counts.
    even = keys.size // 2 * 2
    found = np.bincount(keys[:even].view(np.uint16), minlength=1 << 16).reshape(256, 256)
    return found.sum(axis=0) + found.sum(axis=1) + np.bincount(keys[even:], minlength=256)


def _unpack_short(data: bytes | memoryview, count: int) -> npt.NDArray[np.uint16]:
    half = (count + 1) // 2
    raw = _decompress(data, limit=half + 2 * count)
    if raw.size < half:
        raise ValueError(f'a block holds {raw.size} bytes instead of {half} or more')
    # Two codes in a byte become two bytes, become two numbers of 16 bits.
    pairs = raw[:half].astype('<u2')
    codes = ((pairs | (pairs << 4)) & 0x0F0F).view(np.uint8)[:count]
    folded = codes.astype(np.uint16)
    escaped = np.flatnonzero(codes == _ESCAPE)
    wanted = half + 2 * escaped.size
    if raw.size != wanted:
        raise ValueError(f'a block holds {raw.size} bytes instead of {wanted}')
    folded[escaped] = _from_planes(raw[half:], np.uint16)
    return folded


def _rank(bits: Bits) -> Bits:
    """Map float bits to integers in the order of the floats, neighbours 1 apart; self-inverse.

    Floats are sign and magnitude: all bits but the sign of a negative one are turned over.
    """
    top = 8 * bits.itemsize - 1
    return bits ^ ((bits >> top) & np.iinfo(bits.dtype).max)


def _fold(difference: Bits) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Map 0, -1, 1, -2, 2, ... to 0, 1, 2, 3, 4, ...: small for small differences of any sign."""
    top = 8 * difference.itemsize - 1
    return ((difference << 1) ^ (difference >> top)).view(f'u{difference.itemsize}')


def _unfold(folded: npt.NDArray[np.unsignedinteger[Any]], dtype: npt.DTypeLike) -> Bits:
    return (folded >> 1).view(dtype) ^ -(folded & 1).view(dtype)


def _keys(base: Bits, exponent: int) -> npt.NDArray[np.uint8]:
    return (base >> exponent).astype(np.uint8)


def _planes(values: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.uint8]:
    return values.view(np.uint8).reshape(-1, values.itemsize).T.reshape(-1)


def _from_planes(raw: npt.NDArray[np.uint8], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    planes = raw.reshape(np.dtype(dtype).itemsize, -1)
    found = planes[0].astype(f'<u{len(planes)}')
    # Wide shifts take a tenth of the time of moving single bytes.
    for place, plane in enumerate(planes[1:], start=1):
        found |= plane.astype(found.dtype) << (8 * place)
    return found.view(dtype)


def _compress(raw: npt.NDArray[np.uint8]) -> bytes:
    frame = zstandard.ZstdCompressor(level=_LEVEL).compressobj(size=raw.size)
    parts = []
    for at in range(0, raw.size, _FLUSH):
        parts.append(frame.compress(raw[at:at + _FLUSH].data))
        parts.append(frame.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))
    return b''.join([*parts, frame.flush()])


def _decompress(data: bytes | memoryview, *, limit: int) -> npt.NDArray[np.uint8]:
    try:
        size = zstandard.frame_content_size(data)
        if not 0 <= size <= limit:
            raise ValueError(f'a block says it holds {size} bytes; it can hold up to {limit}')
        return np.frombuffer(zstandard.ZstdDecompressor().decompress(data), np.uint8)
    except zstandard.ZstdError as error:
        raise ValueError(f'a block cannot be decompressed: {error}') from error
