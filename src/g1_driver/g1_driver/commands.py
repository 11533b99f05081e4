# SPDX-License-Identifier: Apache-2.0
"""A command to the robot, and what became of it."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from g1_description.joints import COMMAND_NAMES

Array = NDArray[np.float64]


class State(enum.IntEnum):
    """What the robot does in a tick; the values of lwd_msgs/ExecutedCommand.STATE_*."""

    ACTIVE = 0
    HOLD = 1
    ESTOP = 2
    HOMING = 3


class Hold(enum.IntEnum):
    """Why the robot holds; the values of lwd_msgs/ExecutedCommand.HOLD_*."""

    NONE = 0
    NO_COMMAND = 1
    STALE = 2
    FUTURE = 3
    NOT_FINITE = 4
    LAYOUT = 5
    ESTOP = 6
    FAULT = 7


class Clip(enum.IntFlag):
    """What was changed for one joint; the bits of lwd_msgs/ExecutedCommand.CLIP_*."""

    NONE = 0
    POSITION = 1
    VELOCITY = 2
    ACCELERATION = 4
    DISTANCE = 8
    BLEND = 16


def clip_name(clip: Clip) -> str:
    """Return the name of one bit, for people."""
    return str(clip.name).lower()


@dataclass(frozen=True)
class Command:
    """A command as it came in: nothing about it is checked yet."""

    positions: Array
    """(D,) rad; grippers 0 (open) .. 1 (closed)."""
    stamp_ns: int
    """Stamp of the tick that it answers, ns of the robot's time."""
    names: tuple[str, ...] = COMMAND_NAMES


@dataclass(frozen=True)
class Executed:
    """The command that was sent in one tick."""

    positions: Array
    """(16,) what was sent, in the order of COMMAND_NAMES."""
    clips: NDArray[np.uint8]
    """(16,) bits of Clip."""
    state: State
    hold: Hold
    requested: Array | None = None
    """(16,) what was asked for; None if there was no usable command."""
    command_stamp_ns: int = 0
    min_distance: float = math.inf
    """Smallest distance between monitored bodies, m; inf beyond the horizon of the check."""
    detail: str = field(default='', compare=False)
