# SPDX-License-Identifier: Apache-2.0
"""Which topics are recorded, and what of a message must be known without unpacking it."""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sensor_msgs.msg import CompressedImage, JointState

from lwd_actor.errors import RecordingError
from lwd_msgs import msg as lwd

_SECOND = 1_000_000_000
# CDR: four bytes of encapsulation, from behind which alignment counts.
_BODY = 4


class Key(enum.Enum):
    """What says of which control step a message is."""

    TICK = 'its tick number, right behind the header'
    STATE = 'its stamp, which a tick names as joint_state_stamp'
    IMAGE = 'its stamp, which a tick names in image_stamps'
    TIME = 'its stamp alone'


@dataclass(frozen=True)
class Stream:
    """One topic of a robot."""

    name: str
    """Relative to the robot's namespace."""
    kind: type[Any]
    """Of its messages."""
    key: Key
    required: bool = False
    """Whether a robot without it has nothing to record."""
    single: bool = True
    """Whether one node alone may publish it."""
    camera: str = ''
    """Of an image."""

    @property
    def type_name(self) -> str:
        """As bags have it."""
        return f'{self.kind.__module__.partition(".")[0]}/msg/{self.kind.__name__}'


class Item(NamedTuple):
    """A message as it came in."""

    stream: Stream
    stamp_ns: int
    """Of its header: the robot's time."""
    tick: int
    """-1 where the key is another."""
    data: bytes
    """CDR."""


def streams(cameras: Sequence[str]) -> list[Stream]:
    """Return what is recorded of a robot with these cameras."""
    return [
        Stream('tick', lwd.Tick, Key.TICK, required=True),
        Stream('joint_states', JointState, Key.STATE, required=True),
        *(Stream(f'{camera}/image_raw/compressed', CompressedImage, Key.IMAGE, required=True,
                 camera=camera) for camera in cameras),
        Stream('control_step', lwd.ControlStep, Key.TICK, required=True),
        Stream('executed_command', lwd.ExecutedCommand, Key.TICK, required=True),
        Stream('scene_features', lwd.SceneFeatures, Key.TICK),
        Stream('reward', lwd.Reward, Key.TICK, single=False),
        Stream('action_chunk', lwd.ActionChunk, Key.TIME),
        Stream('intervention', lwd.Intervention, Key.TIME),
        Stream('task', lwd.Task, Key.TIME),
    ]


def item(stream: Stream, data: bytes) -> Item:
    """Return a message with its stamp, and its tick where it has one.

    Raises:
        RecordingError: It is cut off, or no message of that type.
    """
    try:
        order = '<' if data[1] & 1 else '>'
        seconds, nanoseconds, length = struct.unpack_from(order + 'iII', data, _BODY)
        tick = -1
        if stream.key is Key.TICK:
            # Behind stamp and frame_id, aligned to eight bytes.
            tick, = struct.unpack_from(order + 'Q', data, _BODY + (12 + length + 7) // 8 * 8)
    except (IndexError, struct.error) as error:
        raise RecordingError(
            f'a message of {len(data)} bytes on {stream.name} is no {stream.type_name}; is '
            'another version of lwd_msgs in use there?') from error
    return Item(stream, seconds * _SECOND + nanoseconds, tick, data)
