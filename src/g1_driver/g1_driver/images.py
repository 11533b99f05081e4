# SPDX-License-Identifier: Apache-2.0
"""Images as the policy sees them: cropped, resized, JPEG."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from g1_driver.errors import RobotFaultError

Image = NDArray[np.uint8]


def fit(image: Image, width: int, height: int) -> Image:
    """Return the centre crop of an image, (h, w, 3), in the aspect of width x height, resized."""
    rows, columns = image.shape[:2]
    scale = min(columns / width, rows / height)
    crop_width, crop_height = round(width * scale), round(height * scale)
    left, top = (columns - crop_width) // 2, (rows - crop_height) // 2
    cropped = image[top:top + crop_height, left:left + crop_width]
    if cropped.shape[:2] == (height, width):
        return np.ascontiguousarray(cropped)
    resized: Image = cv2.resize(cropped, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return resized


def to_jpeg(rgb: Image, quality: int) -> bytes:
    """Return a JPEG of an RGB image, (h, w, 3).

    Raises:
        RobotFaultError: The image cannot be encoded.
    """
    done, data = cv2.imencode(
        '.jpg', cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RobotFaultError(f'an image of shape {rgb.shape} cannot be encoded as JPEG')
    return data.tobytes()


def from_jpeg(data: bytes) -> Image:
    """Return the RGB image, (h, w, 3), of a JPEG.

    Raises:
        RobotFaultError: The bytes are no image.
    """
    decoded = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise RobotFaultError(f'{len(data)} bytes are no image')
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8)
