# SPDX-License-Identifier: Apache-2.0
"""The last moments before an episode: its first control step saw what came before it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from lwd_actor.recording.streams import Item

_KEPT_NS = 1_000_000_000


class History:
    """Messages in the order in which they came, of about a second, in bounded memory."""

    def __init__(self, limit_bytes: int) -> None:
        """Keep nothing yet; more than `limit_bytes` are never kept."""
        self.overflowed = False
        """Whether something was dropped for lack of room since it was pinned."""
        self._limit = limit_bytes
        self._items: deque[Item] = deque()
        self._size = 0
        self._pinned = False

    def add(self, item: Item) -> None:
        """Keep a message."""
        self._items.append(item)
        self._size += len(item.data)
        while self._size > self._limit:
            self._drop()
            self.overflowed = self._pinned

    def forget(self, now_ns: int) -> None:
        """Let go of what is older than a second of the robot's time, unless pinned."""
        while self._items and not self._pinned and (
                self._items[0].stamp_ns < now_ns - _KEPT_NS):
            self._drop()

    def _drop(self) -> None:
        self._size -= len(self._items.popleft().data)

    def pin(self) -> None:
        """Keep all from now on, until it is cleared."""
        self._pinned, self.overflowed = True, False

    def unpin(self) -> None:
        """Go on forgetting."""
        self._pinned = False

    def clear(self) -> None:
        """Forget everything."""
        self._items.clear()
        self._size, self._pinned = 0, False

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)
