# SPDX-License-Identifier: Apache-2.0
"""A new version of weights as the difference to one that the other side has; exact.

Layout: magic, SHA-256 of all that follows, length of the header (u32, little-endian), the header
(JSON), the blocks one after the other. `kind` in the header says whether it is a difference or,
where that is not possible or not smaller, the full weights. delta_decode.py is the way back.
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

from lwd_policy.delta_blocks import BLOCK, Bits, pack, pack_difference
from lwd_policy.errors import DeltaError
from lwd_policy.weights_file import bits, describe, plain, version_of
from lwd_policy.weights_layout import DTYPES

FORMAT_VERSION = 1
_MAGIC = b'LWDDELTA'
_HASH_BYTES = 32
_LENGTH_BYTES = 4
_THREADS = 8
# Share of a block's size below which it is not tried whether it is smaller alone.
_SMALL = 0.35
_START = len(_MAGIC) + _HASH_BYTES + _LENGTH_BYTES

EXPONENT = {torch.bfloat16: 7, torch.float16: 10, torch.float32: 23}
"""Position of the lowest bit of the exponent: the mantissa's width."""
MALFORMED = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What a header with other content than `encode` writes can raise."""

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
    with pool() as threads:
        jobs = [(name, tensor, _encode_tensor(
            threads, None if reason or base is None else base[name], tensor))
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


def pool() -> ThreadPoolExecutor:
    """Return threads for blocks: sorting and compressing them needs no interpreter."""
    return ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1), 'delta')


def _encode_tensor(
    threads: ThreadPoolExecutor, base: torch.Tensor | None, new: torch.Tensor,
) -> list[Future[tuple[Method, bytes]]]:
    after = bits(new)
    before = None if base is None else bits(base)
    return [
        threads.submit(_encode_block, None if before is None else before[at:at + BLOCK],
                    after[at:at + BLOCK], EXPONENT[new.dtype])
        for at in range(0, after.size, BLOCK)]


def _encode_block(base: Bits | None, new: Bits, exponent: int) -> tuple[Method, bytes]:
    if base is None:
        return 'raw', pack(new)
    if np.array_equal(base, new):
        return 'same', b''
    difference = pack_difference(base, new, exponent)
    if len(difference) < _SMALL * new.nbytes:
        return 'ulp', difference
    alone = pack(new)
    return ('ulp', difference) if len(difference) < len(alone) else ('raw', alone)


def read_header(data: bytes | memoryview) -> DeltaHeader:
    """Return what a delta says about itself, after a check that all of it is as it was made.

    Raises:
        DeltaError: No delta, cut, changed, or of a newer format.
    """
    return open_delta(data)[0]


def open_delta(data: bytes | memoryview, *, checked: bool = False) -> tuple[DeltaHeader, int]:
    """Return (header, where the blocks begin).

    Args:
        data: What `encode` returned.
        checked: Whether it is known to be as it was made; otherwise its hash is taken.

    Raises:
        DeltaError: No delta, cut, changed, or of a newer format.
    """
    start = bytes(data[:_START])
    if not start.startswith(_MAGIC):
        raise DeltaError(
            f'the data begins with {start[:len(_MAGIC)]!r} instead of {_MAGIC!r}; it is no delta')
    said = start[len(_MAGIC):len(_MAGIC) + _HASH_BYTES]
    if not checked:
        found = hashlib.sha256(memoryview(data)[len(_MAGIC) + _HASH_BYTES:]).digest()
        if said != found:
            raise DeltaError(
                f'the delta of {len(data)} bytes has the hash {found.hex()} instead of '
                f'{said.hex()}; it was cut or changed on its way: fetch it again')
    end = _START + int.from_bytes(start[_START - _LENGTH_BYTES:], 'little')
    try:
        content = json.loads(bytes(data[_START:end]))
        if content['format'] > FORMAT_VERSION:
            raise DeltaError(
                f'the delta is of format {content["format"]}, this version of LWD reads up to '
                f'{FORMAT_VERSION}; update LWD here, or fetch the full weights')
        return DeltaHeader(**{item.name: content[item.name] for item in fields(DeltaHeader)}), end
    except MALFORMED as error:
        raise DeltaError(
            f'the header of the delta cannot be read ({error!r}); it was not made by LWD: fetch '
            'the full weights') from error
