# SPDX-License-Identifier: Apache-2.0
"""What somebody who would drive the robot proposes for a tick, and what becomes of the tick."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from g1_description.joints import COMMAND_NAMES
from lwd_actor.errors import ProposalError

Array = NDArray[np.float64]


class Source(enum.IntEnum):
    """Who is in control; the values of lwd_msgs/ControlStep.SOURCE_*."""

    HOLD = 0
    POLICY = 1
    TELEOP = 2
    EXPERT = 3
    ESTOP = 4


@dataclass(frozen=True)
class Seen:
    """The observation that a command answers."""

    joints_ns: int = 0
    """Stamp of the joint state."""
    images_ns: Mapping[str, int] = field(default_factory=dict)
    """Stamp of each camera's image."""


@dataclass(frozen=True)
class Proposal:
    """A command that somebody would have the robot follow."""

    tick: int
    source: Source
    positions: Array | None
    """(16,) rad, grippers 0..1; None says that it has nothing to propose."""
    seen: Seen = field(default_factory=Seen)
    policy_version: str = ''
    chunk_id: int = 0
    chunk_index: int = 0

    def check(self, names: Sequence[str]) -> None:
        """Refuse what cannot be followed.

        Args:
            names: Joints of the positions, in their order.

        Raises:
            ProposalError: It names the value and the place.
        """
        if self.positions is None:
            return
        who = self.source.name.lower()
        if tuple(names) != COMMAND_NAMES or self.positions.shape != (16,):
            raise ProposalError(
                f'{who} proposes {self.positions.size} positions for {len(names)} joint names; '
                'send the 16 joints of lwd layout in that order')
        bad = np.flatnonzero(~np.isfinite(self.positions))
        if bad.size:
            raise ProposalError(
                f'{who} proposes {self.positions[bad[0]]} for {COMMAND_NAMES[bad[0]]}')


@dataclass(frozen=True)
class Decision:
    """What the robot is asked to do in a tick, and by whom."""

    tick: int
    source: Source
    positions: Array | None
    """(16,); None while it is not known where the robot is: it holds by itself."""
    seen: Seen
    policy_version: str = ''
    chunk_id: int = 0
    chunk_index: int = 0
