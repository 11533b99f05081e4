# SPDX-License-Identifier: Apache-2.0
"""Decodes the images that policies saw, in threads: OpenCV leaves the interpreter free."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import cv2
import numpy as np

from lwd_data.errors import IndexFileError, SampleError
from lwd_data.replay.batch import Byte
from lwd_data.replay.episode import EpisodeColumns
from lwd_data.replay.files import Files

# OpenCV before 4.11 gives BGR only.
_IS_RGB = hasattr(cv2, 'IMREAD_COLOR_RGB')
_FLAGS: int = cv2.IMREAD_COLOR_RGB if _IS_RGB else cv2.IMREAD_COLOR

Step = tuple[EpisodeColumns, int]


class ImageReader:
    """Reads images of one camera."""

    def __init__(self, camera: str, files: Files, pool: ThreadPoolExecutor, jobs: int) -> None:
        """Prepare.

        Args:
            camera: Whose images.
            files: Open files.
            pool: That decodes.
            jobs: Into which a batch is divided.
        """
        self._camera, self._files, self._pool, self._jobs = camera, files, pool, jobs

    def start(self, steps: Sequence[Step]) -> Pending:
        """Begin to read the images that were seen at steps of episodes, at least one.

        Raises:
            IndexFileError: The first of them is no JPEG, or its file was changed.
        """
        images = np.empty((len(steps), *self._decode(steps[0]).shape), np.uint8)
        # Every so many-th: neighbours are often of one file, and would be waited for together.
        return Pending(images, [
            self._pool.submit(self._fill, images, steps, first) for first in range(self._jobs)])

    def _fill(self, images: Byte, steps: Sequence[Step], first: int) -> None:
        for i in range(first, len(steps), self._jobs):
            image = self._decode(steps[i])
            if image.shape != images.shape[1:]:
                raise SampleError(
                    f'images of {self._camera} are of several sizes: {images.shape[1:3]} and, in '
                    f'{steps[i][0].record.folder}, {image.shape[:2]}; a batch has one size')
            images[i] = image

    def _decode(self, step: Step) -> Byte:
        columns, number = step
        place = columns.image_place(number, self._camera)
        if place is None:
            raise SampleError(
                f'step {number} of {columns.record.folder} has no image of {self._camera}; it '
                'should not have been drawn')
        image: Byte | None = cv2.imdecode(  # type: ignore[assignment]
            np.frombuffer(self._files.read(*place), np.uint8), _FLAGS)
        if image is None:
            raise IndexFileError(
                f'{place[0]}: the image of {self._camera} at byte {place[1]} is no JPEG')
        # A view: it is turned around while it is copied into the batch.
        return image if _IS_RGB else image[..., ::-1]


class Pending:
    """Images that are being read."""

    def __init__(self, images: Byte, jobs: list[Future[None]]) -> None:
        """Wait for jobs that fill images."""
        self._images, self._jobs = images, jobs

    def wait(self) -> Byte:
        """Return them, (B, height, width, 3) RGB.

        Raises:
            IndexFileError: One is no JPEG, or its file was changed.
            SampleError: They are not all of one size.
        """
        for job in self._jobs:
            job.result()
        return self._images
