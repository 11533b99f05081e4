# SPDX-License-Identifier: Apache-2.0
"""A weights file's version, and whether all of it is finite: in one pass that takes no memory."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from lwd_policy import weights_layout
from lwd_policy.errors import WeightsError
from lwd_policy.weights_file import all_finite
from lwd_policy.weights_layout import LENGTH_BYTES

_PIECE = 1 << 20  # bytes: hashed and checked while they are in the processor's cache


def scan(path: Path) -> str:
    """Return the version of a weights file all of whose values are finite.

    Raises:
        WeightsError: It is none, or damaged; or a value is not finite, and it names the tensor.
        OSError: It cannot be read.
    """
    digest = hashlib.sha256()
    buffer = np.empty(_PIECE, np.uint8)
    with path.open('rb', buffering=0) as file:
        size = path.stat().st_size
        start = file.read(LENGTH_BYTES)
        start += file.read(max(0, min(size, weights_layout.header_bytes(start)) - len(start)))
        layout = weights_layout.read(start, size, where=str(path))
        digest.update(start)
        for name, place in layout.places.items():
            at = place.begin
            while at < place.end:
                piece = buffer[:min(_PIECE, place.end - at)]
                if file.readinto(piece.data) != piece.size:
                    raise WeightsError(f'{path} became shorter while it was read')
                digest.update(piece.data)
                if not all_finite(piece.view(f'i{place.dtype.itemsize}'), place.dtype):
                    raise WeightsError(
                        f'{path}: tensor {name!r} has values that are not finite; training '
                        'diverged: go back to an earlier version')
                at += piece.size
    return digest.hexdigest()
