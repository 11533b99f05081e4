# SPDX-License-Identifier: Apache-2.0
"""A new version of weights as the difference to one that the other side has; exact.

Layout: magic, SHA-256 of all that follows, length of the header (u32, little-endian), the header
(JSON), the blocks one after the other. `kind` in the header says whether it is a difference or,
where that is not possible or not smaller, the full weights. Decoding ends with the hash of the
weights file that the tensors make: what comes out is the version that was encoded, or an error.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
import torch

from lwd_policy.delta_blocks import BLOCK, Bits, pack, pack_difference, unpack, unpack_difference
from lwd_policy.errors import DeltaError, WeightsError, WrongBaseError
from lwd_policy.weights_file import DTYPES, bits, describe, plain, version_of

FORMAT_VERSION = 1
_MAGIC = b'LWDDELTA'
_HASH_BYTES = 32
_LENGTH_BYTES = 4
_THREADS = 8
_START = len(_MAGIC) + _HASH_BYTES + _LENGTH_BYTES

# Position of the lowest bit of the exponent: the mantissa's width.
_EXPONENT = {torch.bfloat16: 7, torch.float16: 10, torch.float32: 23}
# What a header with other content than `encode` writes can raise.
_MALFORMED = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
_DTYPES = {name: dtype for dtype, name in DTYPES.items()}

Method = Literal['same', 'ulp', 'raw']
"""How a block is coded: as in the base, as difference to it, alone."""


@dataclass(frozen=True)
class DeltaHeader:
    """What a delta says about itself."""

    kind: Literal['delta', 'full']
    """Whether the base is needed."""
    reason: str
    """Why it is full; empty for a delta."""
    base: str
    """Version that it is a difference to; empty if full."""
    version: str
    """Version that decoding gives."""
    architecture: dict[str, Any]
    """Architecture of that version."""
    tensors: dict[str, Any]
    """By name: [type, shape, [[method, bytes] of each block]]."""
    format: int = FORMAT_VERSION
    """Version of this format."""


def encode(
    base: Mapping[str, torch.Tensor] | None, new: Mapping[str, torch.Tensor], *,
    architecture: Mapping[str, Any],
) -> bytes:
    """Return `new` as a difference to `base`, or in full; `read_header` tells which, and why.

    Args:
        base: Weights that the other side has, of the same architecture; None if there are none.
        new: Weights to send.
        architecture: As saved with both.

    Raises:
        WeightsError: A tensor of an unsupported type, or an architecture that is no plain JSON.
    """
    reason = _misfit(base, new)
    blocks: list[bytes] = []
    tensors: dict[str, Any] = {}
    with _pool() as pool:
        jobs = [(name, tensor, _encode_tensor(
            pool, None if reason or base is None else base[name], tensor))
            for name, tensor in sorted(new.items())]
        for name, tensor, coding in jobs:
            coded = [job.result() for job in coding]
            tensors[name] = [DTYPES[tensor.dtype], list(tensor.shape),
                             [[method, len(block)] for method, block in coded]]
            blocks += [block for _, block in coded]
    if not reason and all(entry[0] == 'raw' for _, _, coded in tensors.values()
                          for entry in coded):
        reason = 'no part of it is smaller as a difference'
    header = DeltaHeader(
        'full' if reason else 'delta', reason,
        '' if reason or base is None else version_of(base, architecture),
        version_of(new, architecture), plain(architecture), tensors)
    text = json.dumps(asdict(header), separators=(',', ':')).encode()
    blocks[:0] = [len(text).to_bytes(_LENGTH_BYTES, 'little'), text]
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return b''.join([_MAGIC, digest.digest(), *blocks])


def _misfit(base: Mapping[str, torch.Tensor] | None, new: Mapping[str, torch.Tensor]) -> str:
    """Return why `new` cannot be a difference to `base`; empty if it can."""
    after = describe(new)
    if base is None:
        return 'there is no base'
    before = describe(base)
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            return (f'tensor {name!r} is {before.get(name, "absent")} in the base and '
                    f'{after.get(name, "absent")} in the new version')
    return ''


def _pool() -> ThreadPoolExecutor:
    """Return threads for blocks: sorting and compressing them needs no interpreter."""
    return ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1), 'delta')


def _encode_tensor(
    pool: ThreadPoolExecutor, base: torch.Tensor | None, new: torch.Tensor,
) -> list[Future[tuple[Method, bytes]]]:
    after = bits(new)
    before = None if base is None else bits(base)
    return [
        pool.submit(_encode_block, None if before is None else before[at:at + BLOCK],
                    after[at:at + BLOCK], _EXPONENT[new.dtype])
        for at in range(0, after.size, BLOCK)]


def _encode_block(base: Bits | None, new: Bits, exponent: int) -> tuple[Method, bytes]:
    if base is None:
        return 'raw', pack(new)
    if np.array_equal(base, new):
        return 'same', b''
    alone, difference = pack(new), pack_difference(base, new, exponent)
    return ('ulp', difference) if len(difference) < len(alone) else ('raw', alone)


def read_header(data: bytes) -> DeltaHeader:
    """Return what a delta says about itself, after a check that all of it is as it was made.

    Raises:
        DeltaError: No delta, cut, changed, or of a newer format.
    """
    return _open(data)[0]


def _open(data: bytes) -> tuple[DeltaHeader, int]:
    """Return (header, where the blocks begin)."""
    if not data.startswith(_MAGIC):
        raise DeltaError(
            f'the data begins with {data[:len(_MAGIC)]!r} instead of {_MAGIC!r}; it is no delta')
    said = data[len(_MAGIC):len(_MAGIC) + _HASH_BYTES]
    found = hashlib.sha256(memoryview(data)[len(_MAGIC) + _HASH_BYTES:]).digest()
    if said != found:
        raise DeltaError(
            f'the delta of {len(data)} bytes has the hash {found.hex()} instead of {said.hex()}; '
            'it was cut or changed on its way: fetch it again')
    end = _START + int.from_bytes(data[_START - _LENGTH_BYTES:_START], 'little')
    try:
        content = json.loads(data[_START:end])
        if content['format'] > FORMAT_VERSION:
            raise DeltaError(
                f'the delta is of format {content["format"]}, this version of LWD reads up to '
                f'{FORMAT_VERSION}; update LWD here, or fetch the full weights')
        return DeltaHeader(**{item.name: content[item.name] for item in fields(DeltaHeader)}), end
    except _MALFORMED as error:
        raise DeltaError(
            f'the header of the delta cannot be read ({error!r}); it was not made by LWD: fetch '
            'the full weights') from error


def decode(base: Mapping[str, torch.Tensor] | None, data: bytes) -> dict[str, torch.Tensor]:
    """Return the encoded weights on the CPU, bit for bit.

    Args:
        base: Weights of the version that the header names; not looked at if the delta is full.
        data: What `encode` returned.

    Raises:
        WrongBaseError: The delta was made against other weights.
        DeltaError: No delta, cut, changed, or of a newer format.
    """
    header, at = _open(data)
    if header.kind == 'full':
        base = None
    elif base is None:
        raise WrongBaseError(
            f'the delta to {header.version} needs version {header.base}, and there is no base; '
            'fetch the full weights')
    tensors = {}
    try:
        with _pool() as pool:
            jobs: list[Future[None]] = []
            for name, (kind, shape, coded) in header.tensors.items():
                before = None if base is None else _fitting(base, name, kind, shape, header)
                tensors[name], at = _decode_tensor(
                    pool, jobs, before, kind, shape, coded, data, at)
            for job in jobs:
                job.result()
    except _MALFORMED as error:
        raise DeltaError(
            f'the delta to {header.version} cannot be decoded ({error}); it was not made by LWD: '
            'fetch the full weights') from error
    found = version_of(tensors, header.architecture)
    if found != header.version:
        _check_base(base, header)
        raise DeltaError(
            f'the delta gives version {found} instead of {header.version}; it was made wrongly: '
            'fetch the full weights')
    return tensors


def _fitting(
    base: Mapping[str, torch.Tensor], name: str, kind: str, shape: list[int],
    header: DeltaHeader,
) -> torch.Tensor:
    tensor = base.get(name)
    if tensor is None or tensor.dtype != _DTYPES[kind] or list(tensor.shape) != shape:
        given = 'none' if tensor is None else f'{tensor.dtype} {list(tensor.shape)}'
        raise WrongBaseError(
            f'the delta to {header.version} needs version {header.base}, with tensor {name!r} '
            f'{kind} {shape}; the given base has {given}: give that version, or fetch the full '
            'weights')
    return tensor


def _check_base(base: Mapping[str, torch.Tensor] | None, header: DeltaHeader) -> None:
    """Say so if wrong weights come from a wrong base; hashing it pays only once they do."""
    try:
        given = '' if base is None else version_of(base, header.architecture)
    except WeightsError as error:
        given = f'none at all: {error}'
    if given != header.base:
        raise WrongBaseError(
            f'the delta to {header.version} needs version {header.base}; the given base is '
            f'{given}: give that version, or fetch the full weights')


def _decode_tensor(
    pool: ThreadPoolExecutor, jobs: list[Future[None]], base: torch.Tensor | None, kind: str,
    shape: list[int], coded: list[tuple[Method, int]], data: bytes, at: int,
) -> tuple[torch.Tensor, int]:
    """Return (tensor, which `jobs` are filling; where the next one's blocks begin)."""
    dtype = _DTYPES[kind]
    count = int(np.prod(shape, dtype=object)) if shape else 1
    if len(coded) != -(-count // BLOCK):
        raise ValueError(f'{len(coded)} blocks for {count} values')
    before = None if base is None else bits(base)
    after: Bits = np.empty(count, np.int32 if dtype.itemsize == 4 else np.int16)
    for index, (method, size) in enumerate(coded):
        part = slice(index * BLOCK, min((index + 1) * BLOCK, count))
        block = data[at:at + size]
        at += size
        jobs.append(pool.submit(
            _decode_block, method, None if before is None else before[part], block, after[part],
            _EXPONENT[dtype]))
    return torch.from_numpy(after).view(dtype).reshape(shape), at


def _decode_block(
    method: Method, base: Bits | None, block: bytes, out: Bits, exponent: int,
) -> None:
    """Fill `out` with a block's values."""
    if method == 'raw':
        out[:] = unpack(block, out.size, out.dtype)
    elif base is None:
        raise ValueError(f'a block is coded as {method!r} without a base')
    elif method == 'same':
        out[:] = base
    elif method == 'ulp':
        out[:] = unpack_difference(base, block, exponent)
    else:
        raise ValueError(f'unknown method {method!r}')
