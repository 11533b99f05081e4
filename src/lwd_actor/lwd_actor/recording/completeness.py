# SPDX-License-Identifier: Apache-2.0
"""Whether every control step of an episode has all its parts; what never came is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lwd_actor.recording.bounds import TickInfo
from lwd_actor.recording.streams import Item, Key

Part = tuple[str, int]
"""Name of a stream, and the tick or stamp that identifies a message of it."""

# Parts come within moments of their tick; ten seconds later they are lost. Bounds the memory too.
_PATIENCE = 300
_SEEN = 4096


class Completeness:
    """Holds the parts that came against those that ticks name."""

    def __init__(self, answers: Sequence[str]) -> None:
        """Begin.

        Args:
            answers: Streams, keyed by tick, of which every tick must have a message.
        """
        self.lost: Counter[str] = Counter()
        """By stream: messages that were to come and never did."""
        self._answers = tuple(answers)
        self._seen: dict[Part, None] = {}
        self._open: dict[int, set[Part]] = {}
        self._wanted: dict[Part, list[int]] = {}
        self._last: int | None = None

    def expect(self, info: TickInfo) -> None:
        """Take a tick: it names what belongs to it."""
        if self._last is not None and info.tick > self._last + 1:
            self.lost['tick'] += info.tick - self._last - 1
        self._last = info.tick
        parts = [(name, info.tick) for name in self._answers]
        parts.append(('joint_states', info.joints_ns))
        parts += [(f'{camera}/image_raw/compressed', stamp)
                  for camera, stamp in info.images_ns.items()]
        missing = {part for part in parts if part not in self._seen}
        if missing:
            self._open[info.tick] = missing
            for part in missing:
                self._wanted.setdefault(part, []).append(info.tick)
        while self._open and (oldest := next(iter(self._open))) < info.tick - _PATIENCE:
            self._give_up(oldest)

    def take(self, item: Item) -> None:
        """Take a part."""
        by_tick = item.stream.key is Key.TICK
        part = item.stream.name, item.tick if by_tick else item.stamp_ns
        self._seen[part] = None
        if len(self._seen) > _SEEN:
            del self._seen[next(iter(self._seen))]
        for tick in self._wanted.pop(part, ()):
            missing = self._open.get(tick)
            if missing is not None:
                missing.discard(part)
                if not missing:
                    del self._open[tick]

    def complete(self, last: int) -> bool:
        """Return whether nothing is missing up to a tick."""
        return (self._last is not None and self._last >= last
                and not any(tick <= last for tick in self._open))

    def finish(self, last: int) -> Counter[str]:
        """Count what is missing up to a tick as lost; returns all that was."""
        for tick in [tick for tick in self._open if tick <= last]:
            self._give_up(tick)
        return self.lost

    def _give_up(self, tick: int) -> None:
        for part in self._open.pop(tick):
            # An image that several ticks name is lost once.
            if self._wanted.pop(part, None) is not None:
                self.lost[part[0]] += 1
