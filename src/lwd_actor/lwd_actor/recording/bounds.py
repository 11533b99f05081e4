# SPDX-License-Identifier: Apache-2.0
"""Which messages belong to an episode: those of its first to its last control step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lwd_actor.recording.streams import Item, Key
from lwd_msgs.msg import Tick
from lwd_ros.convert import to_ns


@dataclass(frozen=True)
class TickInfo:
    """What a tick says of itself."""

    tick: int
    reset_count: int
    stamp_ns: int
    joints_ns: int
    """Stamp of its joint state."""
    images_ns: Mapping[str, int] = field(default_factory=dict)
    """By camera: stamp of its newest image."""


def tick_info(message: Tick) -> TickInfo:
    """Return what a tick message says."""
    return TickInfo(
        message.tick, message.reset_count, to_ns(message.header.stamp),
        to_ns(message.joint_state_stamp),
        {camera: to_ns(stamp) for camera, stamp in zip(message.cameras, message.image_stamps)})


@dataclass
class Bounds:
    """From the first tick on, up to the last one as soon as it is known."""

    first: TickInfo
    last: TickInfo | None = None

    def holds(self, item: Item) -> bool:
        """Return whether a message belongs to the episode."""
        own, begin = _place(item, self.first)
        if own < begin:
            return False
        return self.last is None or own <= _place(item, self.last)[1]


def _place(item: Item, tick: TickInfo) -> tuple[int, int]:
    """Return where a message and a tick stand on the scale that the message is keyed by."""
    key = item.stream.key
    if key is Key.TICK:
        return item.tick, tick.tick
    if key is Key.STATE:
        return item.stamp_ns, tick.joints_ns
    if key is Key.IMAGE:
        return item.stamp_ns, tick.images_ns.get(item.stream.camera, tick.stamp_ns)
    return item.stamp_ns, tick.stamp_ns
