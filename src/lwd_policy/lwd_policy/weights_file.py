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
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from safetensors import SafetensorError

from lwd_policy.errors import WeightsError

DTYPES = {torch.bfloat16: 'BF16', torch.float16: 'F16', torch.float32: 'F32'}
"""Types that weights may have, with their names in the file."""

# All bits of the exponent: they are 1 in what is not finite, and only there.
_EXPONENT = {torch.bfloat16: 0x7F80, torch.float16: 0x7C00, torch.float32: 0x7F800000}
_ARCHITECTURE = 'architecture'
_METADATA = '__metadata__'
_LENGTH_BYTES = 8  # safetensors: a little-endian u64 says how long the header is


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


def chunks(
    tensors: Mapping[str, torch.Tensor], architecture: Mapping[str, Any],
) -> Iterator[bytes | memoryview]:
    """Yield the bytes of the weights file: its header, then tensors, the widest types first.

    Raises:
        WeightsError: A tensor of an unsupported type, or an architecture that is no plain JSON.
    """
    describe(tensors)
    if _METADATA in tensors:
        raise WeightsError(f'a tensor has the name {_METADATA!r}, which safetensors keeps')
    order = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
    header: dict[str, Any] = {_METADATA: {_ARCHITECTURE: _canonical(architecture)}}
    at = 0
    for name in order:
        tensor = tensors[name]
        end = at + tensor.numel() * tensor.itemsize
        header[name] = {'dtype': DTYPES[tensor.dtype], 'shape': list(tensor.shape),
                        'data_offsets': [at, end]}
        at = end
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % _LENGTH_BYTES)  # so that the data that follows is aligned
    yield len(text).to_bytes(_LENGTH_BYTES, 'little') + text
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


def from_bytes(data: bytes, *, where: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return (tensors on the CPU, architecture) of a weights file's bytes.

    Raises:
        WeightsError: Not safetensors, cut, without an architecture, or of an unsupported type.
    """
    try:
        tensors = safetensors.torch.load(data)
    except (SafetensorError, KeyError) as error:
        raise WeightsError(
            f'{where} is no whole safetensors file ({error}); it was cut, damaged or is something '
            'else: copy it again') from error
    end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], 'little')
    metadata = json.loads(data[_LENGTH_BYTES:end]).get(_METADATA) or {}
    try:
        architecture = json.loads(metadata[_ARCHITECTURE])
    except (KeyError, ValueError) as error:
        raise WeightsError(
            f'{where} says no {_ARCHITECTURE} in its {_METADATA}; it was not saved by LWD: load '
            'its tensors by other means and save them as a policy') from error
    try:
        describe(tensors)
    except WeightsError as error:
        raise WeightsError(f'{where}: {error}') from error
    return tensors, architecture


def check_finite(tensors: Mapping[str, torch.Tensor], *, where: str) -> None:
    """Refuse weights with a NaN or an infinity.

    Raises:
        WeightsError: It names the tensor and says how many of its values are not finite; or one is
            of an unsupported type.
    """
    describe(tensors)
    for name, tensor in tensors.items():
        mask = _EXPONENT[tensor.dtype]
        # A thirtieth of the time that isfinite takes: it is for the message only.
        if tensor.numel() and int((bits(tensor) & mask).max()) == mask:
            bad = tensor.numel() - int(torch.isfinite(tensor).sum())
            raise WeightsError(
                f'{where}: tensor {name!r} has {bad} of {tensor.numel()} values that are not '
                'finite; training diverged: go back to an earlier version')
