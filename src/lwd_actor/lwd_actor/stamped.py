# SPDX-License-Identifier: Apache-2.0
"""The last messages of a stream by their stamps, still serialised: most are never looked at."""

from __future__ import annotations

import struct
from collections import OrderedDict

from lwd_actor.errors import ObservationError

_HEAD = 12


def stamp_of(raw: bytes) -> int:
    """Return the stamp, ns, of a serialised message that begins with a header.

    Raises:
        ObservationError: It is too short to have one.
    """
    if len(raw) < _HEAD:
        raise ObservationError(
            f'a message of {len(raw)} bytes has no header; it must begin with one')
    # CDR: the second byte says the byte order, the header's time comes after the fourth.
    seconds, nanoseconds = struct.unpack_from('<iI' if raw[1] & 1 else '>iI', raw, 4)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


class Stamped:
    """Keeps so many messages of one stream."""

    def __init__(self, depth: int) -> None:
        """Begin without any."""
        self._depth = depth
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self.newest_ns = -1
        """Stamp of what came last; -1 before the first."""
        self.jumped_ns = 0
        """How far the last message was stamped before the one before it, ns; 0 if it was not."""

    def put(self, raw: bytes) -> None:
        """Take a message.

        Raises:
            ObservationError: It has no header.
        """
        stamp = stamp_of(raw)
        self.jumped_ns = max(0, self.newest_ns - stamp)
        self.newest_ns = stamp
        self._kept[stamp] = raw
        self._kept.move_to_end(stamp)
        while len(self._kept) > self._depth:
            self._kept.popitem(last=False)

    def get(self, stamp_ns: int) -> bytes | None:
        """Return the message of a stamp, None if it is not there (any more)."""
        return self._kept.get(stamp_ns)
