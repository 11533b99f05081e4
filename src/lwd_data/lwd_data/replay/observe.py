# SPDX-License-Identifier: Apache-2.0
"""Reads what the policy saw at steps of episodes: joints, scene features, images."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from g1_description.joints import STATE_NAMES
from lwd_data.errors import IndexFileError, SampleError
from lwd_data.replay.batch import Byte, Float, Observations
from lwd_data.replay.episode import EpisodeColumns
from lwd_data.replay.table import AnchorTable
from lwd_data.scene_layout import LAYOUTS

Int = NDArray[np.int64]


class Observer:
    """Reads observations."""

    def __init__(
        self, table: AnchorTable, *, scene: bool, cameras: Sequence[str], threads: int,
    ) -> None:
        """Prepare to read.

        Args:
            table: Of the episodes.
            scene: Whether to read scene features.
            cameras: Whose images to read.
            threads: That decode them; OpenCV leaves the interpreter free meanwhile.
        """
        self._table, self._files, self._cameras = table, table.files, tuple(cameras)
        self._size = LAYOUTS[table.layout].size if scene and table.layout else 0
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, 'decode') if cameras else None

    def __call__(self, episode: Int, step: Int) -> Observations:
        """Return the observations of B steps of B episodes.

        Raises:
            IndexFileError: A file was changed or removed.
            SampleError: Images of one camera are not all of one size.
        """
        state = np.empty((len(step), len(STATE_NAMES)), np.float32)
        scene = np.empty((len(step), self._size), np.float32)
        pairs = [(self._table.episodes[e], t) for e, t in zip(episode.tolist(), step.tolist())]
        for i, (columns, t) in enumerate(pairs):
            state[i] = columns.read('state', t, t + 1)[0]
            if self._size:
                scene[i] = self._scene(columns, t)
        return Observations(
            state, scene, {camera: self._images(camera, pairs) for camera in self._cameras},
            self._table.instruction[episode])

    def _scene(self, columns: EpisodeColumns, step: int) -> Float:
        place = columns.scene_place(step)
        if place is None:
            raise SampleError(
                f'step {step} of {columns.record.folder} has no scene features; it should not '
                'have been drawn')
        return np.frombuffer(self._files.read(*place), '<f4')

    def _images(self, camera: str, pairs: list[tuple[EpisodeColumns, int]]) -> Byte:
        assert self._pool is not None  # noqa: S101  (there are cameras)
        first = self._decode(camera, pairs[0])
        images = np.empty((len(pairs), *first.shape), np.uint8)

        def fill(begin: int) -> None:
            for i in range(begin, len(pairs), self._threads):
                bgr = self._decode(camera, pairs[i])
                if bgr.shape != first.shape:
                    raise SampleError(
                        f'images of {camera} are of several sizes: {first.shape[:2]} and, in '
                        f'{pairs[i][0].record.folder}, {bgr.shape[:2]}; a batch needs one')
                cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=images[i])

        for _ in self._pool.map(fill, range(self._threads)):
            pass
        return images

    def _decode(self, camera: str, pair: tuple[EpisodeColumns, int]) -> Byte:
        columns, step = pair
        place = columns.image_place(step, camera)
        if place is None:
            raise SampleError(
                f'step {step} of {columns.record.folder} has no image of {camera}; it should not '
                'have been drawn')
        data = np.frombuffer(self._files.read(*place), np.uint8)
        image: Byte | None = cv2.imdecode(  # type: ignore[assignment]
            data, cv2.IMREAD_COLOR)
        if image is None:
            raise IndexFileError(
                f'{place[0]}: the image of {camera} at byte {place[1]} is no JPEG')
        return image
