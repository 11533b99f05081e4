# SPDX-License-Identifier: Apache-2.0
"""Images as an episode has them: the centre, square, JPEG; as the driver makes them."""

from __future__ import annotations

import cv2
import numpy as np

from lwd_data.errors import ExchangeError
from lwd_data.exchange.recording import Image

_JPEG = b'\xff\xd8\xff'


def is_jpeg(data: bytes) -> bool:
    """Return whether bytes begin as a JPEG does."""
    return data[:3] == _JPEG


def decode(data: bytes, where: str) -> Image:
    """Return the RGB image, (h, w, 3), of a JPEG or PNG.

    Raises:
        ExchangeError: The bytes are no image.
    """
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if found is None:
        raise ExchangeError(f'{where} is no image ({len(data)} bytes); leave the episode out')
    return np.asarray(cv2.cvtColor(found, cv2.COLOR_BGR2RGB), np.uint8)


def encode(rgb: Image, quality: int) -> bytes:
    """Return the JPEG of an RGB image, (h, w, 3).

    Raises:
        ExchangeError: It cannot be encoded.
    """
    done, data = cv2.imencode(
        '.jpg', cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ExchangeError(f'an image of shape {rgb.shape} cannot be encoded as JPEG')
    return data.tobytes()


def square(rgb: Image, size: int) -> Image:
    """Return the largest square about the centre of an image, resized; size 0: as it is."""
    if not size:
        return rgb
    height, width = rgb.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    cut = rgb[top:top + side, left:left + side]
    if side == size:
        return np.ascontiguousarray(cut)
    way = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(cut, (size, size), interpolation=way), np.uint8)


def prepared(image: Image | bytes, size: int, quality: int, where: str) -> bytes:
    """Return the JPEG that an episode records of an image; one that fits already as it is.

    Raises:
        ExchangeError: It is no image.
    """
    if isinstance(image, bytes):
        if not size and is_jpeg(image):
            return image
        rgb = decode(image, where)
        if is_jpeg(image) and rgb.shape[:2] == (size, size):
            return image
        return encode(square(rgb, size), quality)
    return encode(square(image, size), quality)
