# SPDX-License-Identifier: Apache-2.0
"""A picture of many episodes: a row each, the cameras at its start, middle and end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from g1_driver.images import from_jpeg
from lwd_bringup.errors import BringupError

Image = NDArray[np.uint8]

_LABEL_HEIGHT = 18
_MOMENTS = ('start', 'middle', 'end')


@dataclass(frozen=True)
class Strip:
    """One episode."""

    label: str
    frames: Mapping[str, Sequence[bytes]]
    """JPEGs of each camera, in order of time."""


def draw(strips: Sequence[Strip], cameras: Sequence[str], file: Path) -> None:
    """Write the sheet as a PNG.

    Raises:
        BringupError: There is nothing to draw, or the file cannot be written.
    """
    rows = [_row(strip, cameras) for strip in strips if any(strip.frames.values())]
    if not rows:
        raise BringupError("no images came in, so there is no contact sheet; see the driver's log")
    titles = [f'{camera}, {moment}' for camera in cameras for moment in _MOMENTS]
    cell = rows[0].shape[1] // len(titles)
    header = _text_band(rows[0].shape[1], '')
    for i, title in enumerate(titles):
        _write(header, title, i * cell + 4)
    sheet = np.vstack([header, *rows])
    if not cv2.imwrite(str(file), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)):
        raise BringupError(f'cannot write {file}')


def _row(strip: Strip, cameras: Sequence[str]) -> Image:
    cells = []
    size = next(from_jpeg(frames[0]).shape for frames in strip.frames.values() if frames)
    for camera in cameras:
        frames = strip.frames.get(camera, ())
        for part in (0.0, 0.5, 1.0):
            if frames:
                cells.append(from_jpeg(frames[round(part * (len(frames) - 1))]))
            else:
                cells.append(np.zeros(size, dtype=np.uint8))
    images = np.hstack(cells)
    return np.vstack([_text_band(images.shape[1], strip.label), images])


def _text_band(width: int, text: str) -> Image:
    band = np.full((_LABEL_HEIGHT, width, 3), 255, dtype=np.uint8)
    _write(band, text, 4)
    return band


def _write(band: Image, text: str, left: int) -> None:
    cv2.putText(band, text, (left, _LABEL_HEIGHT - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (20, 20, 20),
                1, cv2.LINE_AA)
