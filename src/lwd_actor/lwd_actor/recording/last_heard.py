# SPDX-License-Identifier: Apache-2.0
"""What was last heard of a robot, from which an episode can begin."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.serialization import deserialize_message

from lwd_actor.recording.bounds import TickInfo, tick_info
from lwd_actor.recording.history import History
from lwd_actor.recording.streams import Item, Key
from lwd_msgs.msg import Task, Tick

_HISTORY_BYTES = 64 << 20
_TICKS_KEPT = 512
_MOMENTS = 2.0


class LastHeard:
    """The newest messages of a robot, and those of the last second in their order."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin with nothing heard.

        Args:
            clock: Wall time, s.
        """
        self._clock = clock
        self.tick: TickInfo | None = None
        self.task: Task | None = None
        self.history = History(_HISTORY_BYTES)
        self._ticks: dict[int, TickInfo] = {}
        self._newest: dict[str, Item] = {}
        self._numbers: dict[str, int] = {}
        self._doubled: dict[str, float] = {}

    def began(self, item: Item) -> TickInfo:
        """Take a tick; what was before a driver's start is forgotten."""
        info = tick_info(deserialize_message(item.data, Tick))
        if self.tick is not None and info.tick <= self.tick.tick:
            self.history.clear()
            self._ticks.clear()
        self.tick = info
        self._count(item)
        self.history.forget(info.stamp_ns)
        self.history.add(item)
        self._ticks[info.tick] = info
        if len(self._ticks) > _TICKS_KEPT:
            del self._ticks[next(iter(self._ticks))]
        return info

    def heard(self, item: Item) -> None:
        """Take any other message."""
        self.history.add(item)
        self._count(item)
        self._newest[item.stream.name] = item
        if item.stream.name == 'task':
            self.task = deserialize_message(item.data, Task)

    def _count(self, item: Item) -> None:
        name = item.stream.name
        if item.stream.key is Key.TICK and item.stream.single:
            if item.tick <= self._numbers.get(name, -1):
                self._doubled[name] = self._clock()
            self._numbers[name] = item.tick

    def doubled(self, name: str) -> bool:
        """Return whether the numbers of a stream did not only go up in the last moments."""
        return self._clock() - self._doubled.get(name, -1e9) < _MOMENTS

    def tick_of(self, number: int) -> TickInfo | None:
        """Return what a tick of the last seconds said."""
        return self._ticks.get(number)

    def newest(self, name: str) -> Item | None:
        """Return the newest message of a stream."""
        return self._newest.get(name)
