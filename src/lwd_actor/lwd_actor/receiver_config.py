# SPDX-License-Identifier: Apache-2.0
"""Parameters of the policy receiver."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lwd_actor.reception.config import ReceiverConfig
from lwd_actor.reception.faults import FaultConfig
from lwd_actor.reception.trial import TrialConfig


@dataclass(frozen=True)
class ReceiverNodeConfig:
    """Parameters of the policy receiver."""

    robot: str = 'g1_01'
    """The robot's name."""
    shelf: str = 'runs/shelf'
    """Folder for verified policies; each robot has its own."""
    keys: str = ''
    """Public key of the learner, or a folder of such; see `lwd keys new`."""
    require_signature: bool = True
    """Refuse policies that no trusted key has signed. Without, anybody on the network can move the
    robot."""
    rank: int = field(default=0, metadata={'range': (0, 100_000)})
    """Place in staged roll-outs, from 1; 0 for the number at the end of the robot's name."""
    niceness: int = field(default=10, metadata={'range': (0, 19)})
    """By how much the process steps back behind those that control the robot."""
    receiver: ReceiverConfig = field(default_factory=ReceiverConfig)
    """How policies are taken."""
    trial: TrialConfig = field(default_factory=TrialConfig)
    """What a policy must pass."""
    faults: FaultConfig = field(default_factory=FaultConfig)
    """What makes the robot go back to the policy before."""


def rank_of(robot: str) -> int:
    """Return the number at the end of a robot's name; the last place of all if it has none."""
    found = re.search(r'(\d{1,6})$', robot)
    return int(found[1]) if found else 10**6
