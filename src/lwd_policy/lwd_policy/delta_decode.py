# SPDX-License-Identifier: Apache-2.0
"""From a delta and its base to the new weights: in memory, or from file to file.

Both ways end with the hash of the weights file that comes out: it is the version that was
encoded, or there is an error. Blocks are decoded by threads, some ahead of the one that is hashed
and taken: of large weights only those are in memory, and still in the processor's cache.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch

from lwd_policy.delta import EXPONENT, MALFORMED, DeltaHeader, Method, open_delta, pool
from lwd_policy.delta_base import Base, FileBase, HeldBase
from lwd_policy.delta_blocks import BLOCK, Bits, keep_memory, unpack, unpack_difference
from lwd_policy.errors import DeltaError, WeightsError, WrongBaseError
from lwd_policy.weights_file import Kind, all_finite, head
from lwd_policy.weights_layout import DTYPES

_KINDS = {name: dtype for dtype, name in DTYPES.items()}
_AHEAD = 16
"""Blocks that are decoded or wait to be taken."""
_FEW = 1 << 22
"""Values that are decoded before threads for them would have started."""

Take = Callable[[str, int, Bits], None]
"""Takes the bits of a tensor from a value on."""


class _Block(NamedTuple):
    """One block, and where it belongs."""

    name: str
    dtype: torch.dtype
    begin: int
    end: int
    method: Method
    data: memoryview


def decode(
    base: Mapping[str, torch.Tensor] | None, data: bytes | memoryview,
) -> dict[str, torch.Tensor]:
    """Return the encoded weights on the CPU, bit for bit.

    Args:
        base: Weights of the version that the header names; not looked at if the delta is full.
        data: What `encode` returned.

    Raises:
        WrongBaseError: The delta was made against other weights.
        DeltaError: No delta, cut, changed, or of a newer format.
    """
    header, at = open_delta(data)
    found: dict[str, Bits] = {}

    def take(name: str, begin: int, values: Bits) -> None:
        if not begin:
            found[name] = np.empty(math.prod(header.tensors[name][1]), values.dtype)
        found[name][begin:begin + values.size] = values

    _decode(None if base is None else HeldBase(base), header, memoryview(data)[at:],
            lambda _: None, take)
    return {
        name: torch.from_numpy(found[name]).view(_KINDS[kind]).reshape(shape)
        if name in found else torch.empty(shape, dtype=_KINDS[kind])
        for name, (kind, shape, _) in header.tensors.items()}


def decode_file(base: Path | None, data: memoryview, out: BinaryIO) -> str:
    """Write the weights file that a delta encodes; returns its version.

    Args:
        base: Weights file of the version that the header names; None if there is none.
        data: What `encode` returned, known to be so: it came with a hash of its own.
        out: Open for writing.

    Raises:
        WrongBaseError: The delta was made against other weights, or they cannot be read.
        DeltaError: No delta, or of a newer format.
        WeightsError: What it encodes is not finite.
        OSError: The disk refuses.
    """
    header, at = open_delta(data, checked=True)
    wild: list[str] = []

    def take(name: str, begin: int, values: Bits) -> None:
        del begin
        out.write(values.data)
        if not all_finite(values, _KINDS[header.tensors[name][0]]):
            wild.append(name)

    with (nullcontext() if base is None or header.kind == 'full' else FileBase(base)) as before:
        _decode(before, header, data[at:], out.write, take)
    # Only now: a wrong base may give anything, and is another error.
    if wild:
        raise WeightsError(
            f'policy {header.version[:12]}: tensor {wild[0]!r} has values that are not finite; '
            'training diverged: go back to an earlier version')
    return header.version


def _decode(
    base: Base | None, header: DeltaHeader, data: memoryview, begin: Callable[[bytes], object],
    take: Take,
) -> None:
    """Hand over the beginning of the weights file, then block after block in its order."""
    if header.kind == 'full':
        base = None
    elif base is None:
        raise WrongBaseError(
            f'the delta to {header.version} needs version {header.base}, and there is no base; '
            'fetch the full weights')
    digest = hashlib.sha256()
    try:
        kinds: dict[str, Kind] = {
            name: (_KINDS[kind], shape) for name, (kind, shape, _) in header.tensors.items()}
        blocks = _blocks(header, kinds, data)
        if base is not None:
            _check_fits(base, header, kinds)
        start, order = head(kinds, header.architecture)
        digest.update(start)
        begin(start)
        for block, values in _decoded(base, [one for name in order for one in blocks[name]]):
            digest.update(values.data)
            take(block.name, block.begin, values)
    except (*MALFORMED, WeightsError) as error:
        raise DeltaError(
            f'the delta to {header.version} cannot be decoded ({error}); it was not made by LWD: '
            'fetch the full weights') from error
    if digest.hexdigest() != header.version:
        _check_base(base, header)
        raise DeltaError(
            f'the delta gives version {digest.hexdigest()} instead of {header.version}; it was '
            'made wrongly: fetch the full weights')


def _blocks(
    header: DeltaHeader, kinds: Mapping[str, Kind], data: memoryview,
) -> dict[str, list[_Block]]:
    """Return the blocks of each tensor."""
    found: dict[str, list[_Block]] = {}
    at = 0
    for name, (_, shape, coded) in header.tensors.items():
        count = math.prod(shape)
        if any(number < 0 for number in shape) or len(coded) != -(-count // BLOCK):
            raise ValueError(f'{len(coded)} blocks for tensor {name!r} of shape {shape}')
        found[name] = []
        for index, (method, size) in enumerate(coded):
            begin = index * BLOCK
            found[name].append(_Block(
                name, kinds[name][0], begin, min(begin + BLOCK, count), method,
                data[at:at + size]))
            at += size
    return found


def _decoded(base: Base | None, blocks: list[_Block]) -> Iterator[tuple[_Block, Bits]]:
    """Yield blocks with their values."""
    keep_memory()
    if sum(block.end - block.begin for block in blocks) < _FEW:
        for block in blocks:
            yield block, _values(base, block)
        return
    with pool() as threads:
        waiting: deque[tuple[_Block, Future[Bits]]] = deque()
        coming = iter(blocks)
        _submit(threads, base, islice(coming, _AHEAD), waiting)
        while waiting:
            block, job = waiting.popleft()
            yield block, job.result()
            _submit(threads, base, islice(coming, 1), waiting)


def _submit(
    threads: ThreadPoolExecutor, base: Base | None, blocks: Iterator[_Block],
    waiting: deque[tuple[_Block, Future[Bits]]],
) -> None:
    waiting.extend((block, threads.submit(_values, base, block)) for block in blocks)


def _values(base: Base | None, block: _Block) -> Bits:
    """Return a block's values."""
    count, dtype = block.end - block.begin, np.dtype(f'i{block.dtype.itemsize}')
    if block.method == 'raw':
        return unpack(block.data, count, dtype)
    if base is None:
        raise ValueError(f'a block is coded as {block.method!r} without a base')
    if block.method not in ('same', 'ulp'):
        raise ValueError(f'unknown method {block.method!r}')
    before = base.part(block.name, block.begin, block.end)
    if block.method == 'same':
        return before
    return unpack_difference(before, block.data, EXPONENT[block.dtype])


def _check_fits(base: Base, header: DeltaHeader, kinds: Mapping[str, Kind]) -> None:
    for name, (dtype, shape) in kinds.items():
        found = base.kind(name)
        if found is None or found[0] != dtype or list(found[1]) != list(shape):
            given = 'none' if found is None else f'{found[0]} {list(found[1])}'
            raise WrongBaseError(
                f'the delta to {header.version} needs version {header.base}, with tensor {name!r} '
                f'{DTYPES[dtype]} {list(shape)}; the given base has {given}: give that version, '
                'or fetch the full weights')


def _check_base(base: Base | None, header: DeltaHeader) -> None:
    """Say so if wrong weights come from a wrong base; hashing it pays only once they do."""
    try:
        given = '' if base is None else base.version(header.architecture)
    except WeightsError as error:
        given = f'none at all: {error}'
    if given != header.base:
        raise WrongBaseError(
            f'the delta to {header.version} needs version {header.base}; the given base is '
            f'{given}: give that version, or fetch the full weights')
