# SPDX-License-Identifier: Apache-2.0
"""Parameters of the policy node; apart, so that who only reads them need not load PyTorch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from g1_driver.config import LOCKSTEP, REAL_TIME


@dataclass(frozen=True)
class PilotConfig:
    """How chunks follow each other."""

    execute: int = field(default=0, metadata={'range': (0, 1000)})
    """Actions of a chunk that are played before the next one is inferred. 0: in lockstep all, in
    real time a third."""
    chunking: Literal['continue', 'blend'] = 'continue'
    """How a chunk follows one that is still played. continue: it is conditioned on what of that is
    committed. blend: it is drawn freely, and mixed with that over `blend` ticks."""
    blend: int = field(default=8, metadata={'range': (1, 100)})
    """Ticks of the mixing."""
    seed: int = field(default=0, metadata={'range': (0, 2**31)})
    """Added to a simulated scene's seed, it is that of the policy's noise."""


@dataclass(frozen=True)
class SightConfig:
    """How old what a policy sees may be, by the stamps, at the tick."""

    max_image_age: float = field(default=0.15, metadata={'range': (0.0, 10.0)})
    """s; a camera whose newest image is older counts as silent."""
    max_state_age: float = field(default=0.05, metadata={'range': (0.0, 10.0)})
    """s, of the joint state."""
    max_ahead: float = field(default=0.05, metadata={'range': (0.0, 10.0)})
    """s that a stamp may be ahead of the tick's: one further ahead has another clock."""


@dataclass(frozen=True)
class PolicyNodeConfig:
    """Parameters of the policy node."""

    robot: str = 'g1_01'
    """The robot's name; goes into diagnostics."""
    mode: str = field(default=REAL_TIME, metadata={'choices': (REAL_TIME, LOCKSTEP)})
    """The driver's. lockstep: a chunk is inferred when it is needed, and the tick waits for it."""
    policy: str = ''
    """Folder of the policy to begin with."""
    shelf: str = ''
    """Folder of received versions: what it says is to run is loaded beside the running one and
    swapped in; empty for none."""
    remote: str = ''
    """Address of a policy server that speaks openpi's protocol, ws://HOST:PORT, in place of a
    folder."""
    swap: str = field(default='chunk', metadata={'choices': ('chunk', 'episode')})
    """When a new version takes over: after the present chunk's inference, or when the robot is
    reset."""
    instruction: str = ''
    """What the policy is told; empty: what the task or the running episode says."""
    threads: int = field(default=1, metadata={'range': (1, 64)})
    """Of an inference on the CPU."""
    pilot: PilotConfig = field(default_factory=PilotConfig)
    sight: SightConfig = field(default_factory=SightConfig)
