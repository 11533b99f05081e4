# SPDX-License-Identifier: Apache-2.0
"""A file of named arrays that is memory-mapped: magic, a JSON header, then the arrays as they are.

It is there whole or not at all, and read without being parsed: opening costs one `mmap`, and an
array its pages.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwd_data.errors import IndexFileError

_MAGIC = b'LWDCOLS1'
_LENGTH = struct.Struct('<8sQ')
_ALIGN = 64


class ColumnsFile:
    """An open file; its arrays are views of the map, which lives as long as one of them."""

    def __init__(self, path: Path) -> None:
        """Map a file.

        Raises:
            IndexFileError: It is not there, or no such file.
        """
        self.path = path
        try:
            with path.open('rb') as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise IndexFileError(f'{path} cannot be mapped: {error}') from error
        try:
            magic, length = _LENGTH.unpack_from(self._map)
            if magic != _MAGIC:
                raise IndexFileError(f'{path} begins with {magic!r}, not {_MAGIC!r}')
            header = json.loads(self._map[_LENGTH.size:_LENGTH.size + length])
            self.meta: dict[str, Any] = header['meta']
            self._arrays: dict[str, tuple[str, list[int], int]] = header['arrays']
        except (struct.error, ValueError, KeyError) as error:
            raise IndexFileError(f'{path} is damaged: {error}') from error
        if len(self._map) != header['size']:
            raise IndexFileError(
                f'{path} has {len(self._map)} bytes, not {header["size"]}; delete it, it is made '
                'again')
        self._views: dict[str, NDArray[Any]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def rows(self, name: str) -> int:
        """Return the length of an array."""
        return self._arrays[name][1][0]

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return an array, read-only."""
        view = self._views.get(name)
        if view is None:
            kind, shape, offset = self._arrays[name]
            count = 1
            for size in shape:
                count *= size
            view = np.frombuffer(self._map, kind, count, offset) if count else np.empty(0, kind)
            if len(shape) != 1:
                view = view.reshape(shape)
            self._views[name] = view
        return view


def write(path: Path, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a file in one piece; a reader sees the old one or the new one.

    Raises:
        IndexFileError: The folder cannot be written.
    """
    places: dict[str, tuple[str, list[int], int]] = {}
    # The header's own length moves the arrays: leave room for it.
    room = _round(_LENGTH.size + 256 + len(json.dumps(dict(meta)))
                  + sum(80 + len(name) for name in arrays))
    at = room
    for name, array in arrays.items():
        places[name] = (array.dtype.str, list(array.shape), at)
        at = _round(at + array.nbytes)
    header = json.dumps({'meta': dict(meta), 'arrays': places, 'size': at}).encode()
    temporary = path.with_name(f'{path.name}.{os.getpid()}.part')
    try:
        with temporary.open('wb') as file:
            file.write(_LENGTH.pack(_MAGIC, len(header)) + header)
            for name, array in arrays.items():
                file.seek(places[name][2])
                file.write(np.ascontiguousarray(array).tobytes())
            file.truncate(at)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise IndexFileError(
            f'cannot write {path}: {error.strerror}; an index lies beside its segment, so the '
            'folder must be writable') from error


def _round(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN
