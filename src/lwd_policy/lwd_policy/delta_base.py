# SPDX-License-Identifier: Apache-2.0
"""Weights that a delta applies to: in memory, or in a file of which a block is read at a time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import torch

from lwd_policy import weights_layout
from lwd_policy.delta_blocks import Bits
from lwd_policy.errors import WeightsError, WrongBaseError
from lwd_policy.weights import version
from lwd_policy.weights_file import Kind, bits, version_of


class Base(Protocol):
    """Weights that a delta may apply to."""

    def kind(self, name: str) -> Kind | None:
        """Return a tensor's type and shape; None if there is no such."""

    def part(self, name: str, begin: int, end: int) -> Bits:
        """Return the bits of some of a tensor's values; from any thread."""

    def version(self, architecture: Mapping[str, Any]) -> str:
        """Return what version they are as weights of an architecture.

        Raises:
            WeightsError: They cannot be one.
        """


class HeldBase:
    """Tensors."""

    def __init__(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take tensors on the CPU."""
        self._tensors = tensors

    def kind(self, name: str) -> Kind | None:
        """Return a tensor's type and shape; None if there is no such."""
        tensor = self._tensors.get(name)
        return None if tensor is None else (tensor.dtype, tensor.shape)

    def part(self, name: str, begin: int, end: int) -> Bits:
        """Return the bits of some of a tensor's values."""
        return bits(self._tensors[name])[begin:end]

    def version(self, architecture: Mapping[str, Any]) -> str:
        """Return what version they are as weights of an architecture."""
        return version_of(self._tensors, architecture)


class FileBase:
    """A weights file."""

    def __init__(self, path: Path) -> None:
        """Open a weights file.

        Raises:
            WrongBaseError: It cannot be read, or is none.
        """
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise WrongBaseError(
                f'{path}, which the delta applies to, cannot be read ({error.strerror}); fetch '
                'the full weights') from error
        try:
            start = weights_layout.header_bytes(
                os.pread(self._descriptor, weights_layout.LENGTH_BYTES, 0))
            size = os.fstat(self._descriptor).st_size
            self._places = weights_layout.read(
                os.pread(self._descriptor, min(start, size), 0), size, where=str(path)).places
        except (OSError, WeightsError) as error:
            os.close(self._descriptor)
            raise WrongBaseError(f'{error}. The delta applies to it: fetch the full weights'
                                 ) from error

    def __enter__(self) -> FileBase:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)

    def kind(self, name: str) -> Kind | None:
        """Return a tensor's type and shape; None if there is no such."""
        place = self._places.get(name)
        return None if place is None else (place.dtype, place.shape)

    def part(self, name: str, begin: int, end: int) -> Bits:
        """Return the bits of some of a tensor's values.

        Raises:
            WrongBaseError: The disk refuses.
        """
        place = self._places[name]
        found: Bits = np.empty(end - begin, f'i{place.dtype.itemsize}')
        at = place.begin + begin * found.itemsize
        try:
            count = os.preadv(self._descriptor, [found.data], at)
        except OSError as error:
            raise WrongBaseError(
                f'{self._path}, which the delta applies to, cannot be read ({error.strerror}); '
                'fetch the full weights') from error
        if count != found.nbytes:
            raise ValueError(f'{self._path} ends in the midst of {name!r}')
        return found

    def version(self, architecture: Mapping[str, Any]) -> str:
        """Return what version the file is; its own architecture is part of it."""
        del architecture
        return version(self._path)
