# SPDX-License-Identifier: Apache-2.0
"""The messages of the running episode on their way to the sink.

They are held back for a moment, 0.1 s of the robot's time: when the verdict on a step comes, those
of later steps have not been written yet, and an episode ends with its last step.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from lwd_actor.recording.bounds import Bounds, TickInfo
from lwd_actor.recording.completeness import Completeness
from lwd_actor.recording.sink import Sink
from lwd_actor.recording.streams import Item, Key

_HELD_NS = 100_000_000
# What is stamped further ahead of the tick has another clock, and is not waited for. After a stall
# joint states come in a burst, ahead of their ticks: written at once, those of ticks behind the
# verdict would stay in the episode.
_AHEAD_NS = 10_000_000_000
_TICKS_KEPT = 512


class Tape:
    """One episode's messages, from its first tick on."""

    def __init__(
        self, sink: Sink, prefix: str, first: TickInfo, answers: Sequence[str],
    ) -> None:
        """Begin; the sink has been told.

        Args:
            sink: Where they go.
            prefix: Of topics: the robot's namespace, for example /g1_01.
            first: The first tick.
            answers: Streams, keyed by tick, of which every tick must have a message.
        """
        self.bounds = Bounds(first)
        self.newest = first
        self.steps = 0
        """Control steps so far."""
        self.doubled = ''
        """Why two nodes must be publishing the same topic; empty if none are."""
        self.last_step: Item | None = None
        self.dropped = 0
        """Messages for which the sink had no room."""
        self._sink, self._prefix = sink, prefix
        self._completeness = Completeness(answers)
        # With the stamp by which each is due.
        self._held: deque[tuple[int, Item]] = deque()
        self._ticks: dict[int, TickInfo] = {}
        self._numbers: dict[str, int] = {}
        self._written_tick = first.tick

    def see(self, info: TickInfo) -> None:
        """Take what a tick says; its message goes through `take` as well."""
        if self.bounds.last is not None and info.tick > self.bounds.last.tick:
            return
        self.newest = info
        self._ticks[info.tick] = info
        if len(self._ticks) > _TICKS_KEPT:
            del self._ticks[next(iter(self._ticks))]
        self._completeness.expect(info)
        self.release(info.stamp_ns - _HELD_NS)

    def take(self, item: Item) -> None:
        """Take a message, if it belongs to the episode."""
        if not self.bounds.holds(item):
            return
        stream = item.stream
        if stream.key is Key.TICK and stream.single:
            if item.tick <= self._numbers.get(stream.name, -1):
                self.doubled = (
                    f'two publishers on {self._prefix}/{stream.name}: tick {item.tick} came '
                    f'after tick {self._numbers[stream.name]}; stop one of them')
            self._numbers[stream.name] = item.tick
        self._completeness.take(item)
        now = self.newest.stamp_ns
        self._held.append((now if item.stamp_ns > now + _AHEAD_NS else item.stamp_ns, item))

    def release(self, until_ns: int | None = None) -> None:
        """Write what is held back, up to a stamp or all of it."""
        while self._held and (until_ns is None or self._held[0][0] <= until_ns):
            self._write(self._held.popleft()[1])

    def _write(self, item: Item) -> None:
        self._written_tick = max(self._written_tick, item.tick)
        if item.stream.name == 'control_step':
            self.steps += 1
            self.last_step = item
        self.put(item.stream.name, item.stream.type_name, item.data, item.stamp_ns)

    def put(self, name: str, type_name: str, data: bytes, stamp_ns: int) -> None:
        """Write a message as it is."""
        self.dropped += not self._sink.write(
            f'{self._prefix}/{name}', type_name, data, stamp_ns)

    def cut(self, tick: int) -> TickInfo:
        """End the episode with a tick, or with the last one of which something is written.

        Returns:
            The last tick.
        """
        known = [info for number, info in self._ticks.items()
                 if number <= max(tick, self._written_tick)]
        last = self.bounds.last = known[-1] if known else self.bounds.first
        self._held = deque(held for held in self._held if self.bounds.holds(held[1]))
        return last

    @property
    def whole(self) -> bool:
        """Whether the last tick is known and nothing up to it is missing."""
        return self.bounds.last is not None and self._completeness.complete(self.bounds.last.tick)

    def finish(self) -> Counter[str]:
        """Write the rest; returns what was lost, by stream."""
        assert self.bounds.last is not None  # noqa: S101  it was cut before
        self.release()
        return self._completeness.finish(self.bounds.last.tick)
