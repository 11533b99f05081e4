# SPDX-License-Identifier: Apache-2.0
"""What a frozen encoder computes for the images or steps of a segment, kept beside its index.

One file a segment, camera and encoder: a header, a checksum a row, the rows. A row counts once its
checksum fits, so that a kill, a power cut or two writers at once leave rows that are computed
again, never wrong ones.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lwd_data.errors import IndexFileError, SampleError
from lwd_data.replay.files import Recent
from lwd_data.replay.index import SegmentIndex

Int = NDArray[np.int64]
Compute = Callable[[Int], NDArray[Any]]
"""From K rows, the numbers of images in the segment, to their features (K, *shape)."""

VERSION = 1
STEPS = 'steps'
"""In the place of a camera: one row a row of the segment's index."""
_HEADER = 4096
_OPEN_FILES = 512
_TRIES = 10


class FeatureCache:
    """Features of one camera's images, or of steps; of any number of encoders, which never mix."""

    def __init__(
        self, camera: str, shape: tuple[int, ...], *,
        dtype: Literal['float16', 'float32'] = 'float16',
    ) -> None:
        """Describe what is kept.

        Args:
            camera: Whose images; STEPS for whole observations.
            shape: Of the features of one image.
            dtype: As which they are kept.
        """
        self._camera, self._shape, self._dtype = camera, shape, np.dtype(dtype)
        self._files: Recent[_File] = Recent(_File, _OPEN_FILES)

    def get(
        self, index: SegmentIndex, rows: Int, encoder: str, compute: Compute,
    ) -> NDArray[Any]:
        """Return features (M, *shape); computes those that are not there yet, and keeps them.

        Args:
            index: Of the segment.
            rows: (M,) numbers of the camera's images in the segment; see
                EpisodeColumns.image_row.
            encoder: What it is known by: a hash over its weights and settings.
            compute: Makes the features of the rows that are missing, each once.

        Raises:
            SampleError: `compute` returns another shape, or what is not finite.
            IndexFileError: The folder cannot be written.
        """
        found, valid = self.read(index, rows, encoder)
        if valid.all():
            return found
        missing = np.unique(rows[~valid])
        features = self.write(index, missing, encoder, compute(missing))
        found[~valid] = features[np.searchsorted(missing, rows[~valid])]
        return found

    def read(
        self, index: SegmentIndex, rows: Int, encoder: str,
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return features (M, *shape) as far as they are there, and which are, (M,).

        For encoders that compute what is missing in many segments at once; see `get`.

        Raises:
            IndexFileError: The folder cannot be written.
        """
        return self._file(index, encoder).read(rows)

    def write(
        self, index: SegmentIndex, missing: Int, encoder: str, given: NDArray[Any],
    ) -> NDArray[Any]:
        """Keep features, (K, *shape), of K different rows; returns them as they are kept.

        Raises:
            SampleError: They are of another shape, or not finite.
            IndexFileError: The folder cannot be written.
        """
        features = np.asarray(given)
        if features.shape != (len(missing), *self._shape):
            raise SampleError(
                f'the encoder gives features of shape {features.shape} for {len(missing)} images '
                f'of {self._camera}; the cache keeps {(len(missing), *self._shape)}')
        with np.errstate(over='ignore'):
            features = features.astype(self._dtype)
        if not np.isfinite(features).all():
            raise SampleError(
                f'the encoder gives features of {self._camera} in {index.segment} that are not '
                f'finite as {self._dtype}; keep them as float32, or mend the encoder')
        self._file(index, encoder).write(missing, features)
        return features

    def _count(self, index: SegmentIndex) -> int:
        return len(index) if self._camera == STEPS else len(index.image(self._camera)[0])

    def _file(self, index: SegmentIndex, encoder: str) -> _File:
        size = 'x'.join(map(str, self._shape))
        key = hashlib.sha256(encoder.encode()).hexdigest()[:16]
        path = index.segment.with_name(
            f'{index.segment.name}.features.{self._camera}.{self._dtype}.{size}.{key}')
        header = {
            'version': VERSION, 'segment': index.sha256, 'encoder': encoder,
            'camera': self._camera, 'count': self._count(index),
            'shape': list(self._shape), 'dtype': self._dtype.str}
        for _ in range(_TRIES):
            try:
                file = self._files(str(path))
                if file.header == header:
                    return file
                self._files.forget(str(path))
                _make(path, header, replace=True)
            except FileNotFoundError:
                _make(path, header, replace=False)
        raise IndexFileError(
            f'{path} keeps being replaced by features of something else: do two processes use '
            'different versions of the segment, or of this software?')


class _File:
    """A mapped file of features."""

    def __init__(self, path: str) -> None:
        with open(path, 'r+b') as file:
            self._map = mmap.mmap(file.fileno(), 0)
        try:
            self.header: dict[str, Any] = json.loads(self._map[:_HEADER].rstrip(b'\x00'))
        except ValueError:
            # Of something else: it fits no header that is asked for.
            self.header = {}
            return
        count, shape = self.header['count'], self.header['shape']
        dtype = np.dtype(self.header['dtype'])
        self._checks = np.frombuffer(self._map, '<u4', count, _HEADER)
        self._rows = np.frombuffer(
            self._map, dtype, count * int(np.prod(shape)), _rows_at(count)).reshape(count, *shape)

    def read(self, rows: Int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return rows, and which of them are valid."""
        found = self._rows[rows]
        checks = self._checks[rows].tolist()
        return found, np.array(
            [_check(row) == check for row, check in zip(found, checks)], bool)

    def write(self, rows: Int, features: NDArray[Any]) -> None:
        """Keep rows."""
        self._rows[rows] = features
        # Last: until then a reader does not take the rows.
        self._checks[rows] = [_check(row) for row in features]


def _check(row: NDArray[Any]) -> int:
    # 0 stands for a row that was never written.
    return zlib.crc32(np.ascontiguousarray(row).data) or 1


def _rows_at(count: int) -> int:
    return _HEADER + -(-4 * count // 64) * 64


def _make(path: Path, header: dict[str, Any], *, replace: bool) -> None:
    """Make an empty file; without `replace` one that another process made meanwhile is kept."""
    row = int(np.prod(header['shape'])) * np.dtype(header['dtype']).itemsize
    size = _rows_at(header['count']) + header['count'] * row
    try:
        descriptor, name = tempfile.mkstemp(prefix=f'{path.name}.', suffix='.part',
                                            dir=path.parent)
    except OSError as error:
        raise IndexFileError(
            f'cannot write into {path.parent}: {error.strerror}; features lie beside their '
            'segment, so the folder must be writable') from error
    try:
        with os.fdopen(descriptor, 'wb') as file:
            file.write(json.dumps(header).encode().ljust(_HEADER, b'\x00'))
            file.truncate(size)
        if replace:
            os.replace(name, path)
            return
        # Whoever was first has it: rows it wrote since must not be lost.
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
        os.unlink(name)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise IndexFileError(f'cannot write {path}: {error.strerror}') from error
