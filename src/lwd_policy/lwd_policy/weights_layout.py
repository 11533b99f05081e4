# SPDX-License-Identifier: Apache-2.0
"""Where the tensors of a weights file lie, by its header: for reading it without a copy.

A safetensors file is the length of its header (u64, little-endian), the header (JSON), and the
tensors one after the other without a gap.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from lwd_policy.errors import WeightsError

DTYPES = {torch.bfloat16: 'BF16', torch.float16: 'F16', torch.float32: 'F32'}
"""Types that weights may have, with their names in the file."""

METADATA, ARCHITECTURE = '__metadata__', 'architecture'
LENGTH_BYTES = 8
_KINDS = {name: dtype for dtype, name in DTYPES.items()}
# What a header of other content than a weights file's can raise.
_MALFORMED = (AttributeError, LookupError, RecursionError, TypeError, ValueError)


@dataclass(frozen=True)
class Place:
    """Where a tensor lies."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int
    """First byte, counted from the beginning of the file."""
    count: int
    """Of values."""

    @property
    def end(self) -> int:
        """First byte after it."""
        return self.begin + self.count * self.dtype.itemsize


@dataclass(frozen=True)
class Layout:
    """What the header of a weights file says."""

    places: Mapping[str, Place]
    """By name, in the order of the file."""
    architecture: Mapping[str, Any]


def header_bytes(start: bytes | memoryview) -> int:
    """Return how long length and header are, by the first `LENGTH_BYTES` of a file."""
    return LENGTH_BYTES + int.from_bytes(start[:LENGTH_BYTES], 'little')


def read(data: bytes | memoryview, size: int, *, where: str) -> Layout:
    """Return the layout of a weights file.

    Args:
        data: Its beginning; at least as much as `header_bytes` says, if the file has so much.
        size: Of the whole file.
        where: Its place, for messages.

    Raises:
        WeightsError: Not safetensors, cut, without an architecture, or of an unsupported type.
    """
    start = header_bytes(data)
    try:
        if not LENGTH_BYTES < start <= min(size, len(data)):
            raise ValueError(f'it says it has a header of {start - LENGTH_BYTES} bytes')
        header = json.loads(bytes(data[LENGTH_BYTES:start]))
        metadata = header.pop(METADATA, None) or {}
        places = {}
        at = start
        for name, entry in sorted(header.items(), key=lambda item: item[1]['data_offsets']):
            places[name] = place = _place(name, entry, start, where)
            if (place.begin, place.end) != (at, start + entry['data_offsets'][1]):
                raise ValueError(f'tensor {name!r} does not lie behind the one before it')
            at = place.end
        if at != size:
            raise ValueError(f'it should be of {at} bytes, and is of {size}')
    except _MALFORMED as error:
        raise WeightsError(
            f'{where} is no whole safetensors file ({error}); it was cut, damaged or is something '
            'else: copy it again') from error
    try:
        architecture = json.loads(metadata[ARCHITECTURE])
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f'{where} says no {ARCHITECTURE} in its {METADATA}; it was not saved by LWD: load '
            'its tensors by other means and save them as a policy') from error
    return Layout(places, architecture)


def _place(name: str, entry: Mapping[str, Any], start: int, where: str) -> Place:
    if entry['dtype'] not in _KINDS:
        raise WeightsError(
            f'{where}: tensor {name!r} is of type {entry["dtype"]}; weights are of '
            f'{", ".join(_KINDS)}: convert it, and save the policy again')
    shape = entry['shape']
    if not all(type(number) is int and number >= 0 for number in shape):
        raise ValueError(f'tensor {name!r} is of shape {shape}')
    return Place(
        _KINDS[entry['dtype']], tuple(shape), start + entry['data_offsets'][0], math.prod(shape))
