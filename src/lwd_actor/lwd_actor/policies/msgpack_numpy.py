# SPDX-License-Identifier: Apache-2.0
"""Arrays in msgpack, as openpi's clients and servers write them."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np

from lwd_actor.errors import RemoteError


def _pack(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in 'VOc':
        raise RemoteError(f'an array of type {value.dtype} cannot be sent; use plain numbers')
    if isinstance(value, np.ndarray):
        return {b'__ndarray__': True, b'data': value.tobytes(), b'dtype': value.dtype.str,
                b'shape': value.shape}
    if isinstance(value, np.generic):
        return {b'__npgeneric__': True, b'data': value.item(), b'dtype': value.dtype.str}
    return value


def _unpack(value: dict[Any, Any]) -> Any:
    if b'__ndarray__' in value:
        dtype = np.dtype(value[b'dtype'])
        if dtype.kind in 'VOc':
            raise RemoteError(f'an array of type {dtype} came; only plain numbers are taken')
        return np.ndarray(
            buffer=value[b'data'], dtype=dtype, shape=tuple(value[b'shape']))
    if b'__npgeneric__' in value:
        return np.dtype(value[b'dtype']).type(value[b'data'])
    return value


def dumps(value: Any) -> bytes:
    """Return nested data with arrays as bytes.

    Raises:
        RemoteError: An array is not of plain numbers.
    """
    packed: bytes = msgpack.packb(value, default=_pack)
    return packed


def loads(data: bytes) -> Any:
    """Return what bytes say; arrays are read-only views of them.

    Raises:
        RemoteError: They are no msgpack, or an array is damaged.
    """
    try:
        return msgpack.unpackb(data, object_hook=_unpack)
    except (ValueError, TypeError, KeyError, msgpack.UnpackException) as error:
        raise RemoteError(f'{len(data)} bytes are no answer in msgpack: {error}') from error
