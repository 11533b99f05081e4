# SPDX-License-Identifier: Apache-2.0
"""The bytes of a weights file: safetensors, with the architecture in its `__metadata__`.

A version is the SHA-256 of the file, so the bytes follow from the tensors and the architecture
alone: keys in a fixed order, canonical JSON. They are laid out here, not by the safetensors
library, whose order may change between releases: a robot and a learner with different releases
still agree on a version.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lwd_policy import weights_layout
from lwd_policy.errors import WeightsError
from lwd_policy.weights_layout import ARCHITECTURE, DTYPES, LENGTH_BYTES, METADATA

Kind = tuple[torch.dtype, Sequence[int]]
"""Type and shape of a tensor."""

# The infinity's bits: those of what is not finite are not below them.
_INFINITY = {torch.bfloat16: 0x7F80, torch.float16: 0x7C00, torch.float32: 0x7F800000}


def bits(tensor: torch.Tensor) -> npt.NDArray[np.signedinteger[Any]]:
    """Return the bits of a tensor on the CPU as integers of its width; (N,), no copy if it can."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.int32 if flat.itemsize == 4 else torch.int16).numpy()


def describe(tensors: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """Return each tensor's type and shape, such as 'BF16 [8, 64]', by name.

    Raises:
        WeightsError: A tensor has a type that weights cannot have.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in DTYPES:
            known = ', '.join(str(dtype) for dtype in DTYPES)
            raise WeightsError(
                f'tensor {name!r} is of type {tensor.dtype}; weights are of {known}: convert it, '
                'or register it as a buffer with persistent=False')
    return {name: f'{DTYPES[tensor.dtype]} {list(tensor.shape)}'
            for name, tensor in sorted(tensors.items())}


def head(
    kinds: Mapping[str, Kind], architecture: Mapping[str, Any],
) -> tuple[bytes, list[str]]:
    """Return (all of the weights file before its tensors, their names in its order).

    Raises:
        WeightsError: An architecture that is no plain JSON, or a name that cannot be.
    """
    if METADATA in kinds:
        raise WeightsError(f'a tensor has the name {METADATA!r}, which safetensors keeps')
    # The widest types first.
    order = sorted(kinds, key=lambda name: (-kinds[name][0].itemsize, name))
    header: dict[str, Any] = {METADATA: {ARCHITECTURE: _canonical(architecture)}}
    at = 0
    for name in order:
        dtype, shape = kinds[name]
        end = at + math.prod(shape) * dtype.itemsize
        header[name] = {'dtype': DTYPES[dtype], 'shape': list(shape), 'data_offsets': [at, end]}
        at = end
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % LENGTH_BYTES)  # so that the data that follows is aligned
    return len(text).to_bytes(LENGTH_BYTES, 'little') + text, order


def chunks(
    tensors: Mapping[str, torch.Tensor], architecture: Mapping[str, Any],
) -> Iterator[bytes | memoryview]:
    """Yield the bytes of the weights file: its head, then tensor after tensor.

    Raises:
        WeightsError: A tensor of an unsupported type, or an architecture that is no plain JSON.
    """
    describe(tensors)
    start, order = head(
        {name: (tensor.dtype, tensor.shape) for name, tensor in tensors.items()}, architecture)
    yield start
    for name in order:
        yield bits(tensors[name]).view(np.uint8).data


def _canonical(architecture: Mapping[str, Any]) -> str:
    try:
        return json.dumps(architecture, sort_keys=True, separators=(',', ':'), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise WeightsError(
            f'the architecture cannot be written as JSON: {error}; use plain numbers, strings, '
            'lists and dictionaries') from error


def plain(architecture: Mapping[str, Any]) -> dict[str, Any]:
    """Return an architecture as it will be read: tuples as lists, all keys strings."""
    return json.loads(_canonical(architecture))


def to_bytes(tensors: Mapping[str, torch.Tensor], architecture: Mapping[str, Any]) -> bytes:
    """Return the weights file of tensors; the same ones give the same bytes.

    Raises:
        WeightsError: A tensor of an unsupported type, or an architecture that is no plain JSON.
    """
    return b''.join(chunks(tensors, architecture))


def version_of(tensors: Mapping[str, torch.Tensor], architecture: Mapping[str, Any]) -> str:
    """Return the version that tensors have when saved; takes no memory for a copy of them.

    Raises:
        WeightsError: A tensor of an unsupported type, or an architecture that is no plain JSON.
    """
    digest = hashlib.sha256()
    for chunk in chunks(tensors, architecture):
        digest.update(chunk)
    return digest.hexdigest()


def read(path: Path) -> memoryview:
    """Return a file's bytes, in memory of its own that can be written to.

    Raises:
        OSError: It cannot be read.
    """
    with path.open('rb', buffering=0) as file:
        # Not cleared first, and for large files in large pages.
        data = np.empty(os.fstat(file.fileno()).st_size, np.uint8)
        at = 0
        while at < data.size and (count := file.readinto(data[at:].data)):
            at += count
    return data[:at].data


def view(path: Path) -> memoryview:
    """Return a file's bytes where the system has them in memory already; writing changes a copy.

    For a file that nobody changes: what cannot be read from the disk later ends the process.

    Raises:
        OSError: It cannot be read.
    """
    with path.open('rb') as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))


def from_bytes(
    data: bytes | memoryview, *, where: str,
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return (tensors on the CPU, architecture) of a weights file's bytes.

    Args:
        data: The tensors are views of it if it can be written to, and of a copy if not.
        where: Its place, for messages.

    Raises:
        WeightsError: Not safetensors, cut, without an architecture, or of an unsupported type.
    """
    content = memoryview(data)
    if content.readonly:
        content = memoryview(bytearray(content))
    layout = weights_layout.read(content, len(content), where=where)
    return {
        name: torch.frombuffer(
            content, dtype=place.dtype, count=place.count, offset=place.begin).view(place.shape)
        if place.count else torch.empty(place.shape, dtype=place.dtype)
        for name, place in layout.places.items()}, dict(layout.architecture)


def all_finite(values: npt.NDArray[np.signedinteger[Any]], dtype: torch.dtype) -> bool:
    """Return whether floats of a type are finite, by their bits (N,); takes no memory.

    As signed integers the positive ones come in their order with the infinity above all that are
    finite, as unsigned ones the negative ones do, above all positive ones.
    """
    if not values.size:
        return True
    infinity = _INFINITY[dtype]
    unsigned = values.view(f'u{values.itemsize}')
    return bool(values.max() < infinity
                and unsigned.max() < infinity + (1 << 8 * values.itemsize - 1))


def check_finite(tensors: Mapping[str, torch.Tensor], *, where: str) -> None:
    """Refuse weights with a NaN or an infinity.

    Raises:
        WeightsError: It names the tensor and says how many of its values are not finite; or one is
            of an unsupported type.
    """
    describe(tensors)
    for name, tensor in tensors.items():
        # A small part of the time that isfinite takes: it is for the message only.
        if not all_finite(bits(tensor), tensor.dtype):
            bad = tensor.numel() - int(torch.isfinite(tensor).sum())
            raise WeightsError(
                f'{where}: tensor {name!r} has {bad} of {tensor.numel()} values that are not '
                'finite; training diverged: go back to an earlier version')
