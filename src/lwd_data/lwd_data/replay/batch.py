# SPDX-License-Identifier: Apache-2.0
"""What a sampler returns: windows of episodes as arrays.

A window begins at an anchor t with the chunk t .. t + H - 1 of real, executed commands, and spans
the steps that one TD target needs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Int = NDArray[np.int64]
Byte = NDArray[np.uint8]


@dataclass(frozen=True)
class Observations:
    """What the policy saw at B ticks."""

    state: Float
    """(B, 20) measured joints, in the order of STATE_JOINTS."""
    sent: Float
    """(B, 16) the command that was executed in the tick before: rad; grippers 0 .. 1. With the
    measured joints it tells how the robot moves. At an episode's first step, the measured ones."""
    scene: Float
    """(B, F) privileged scene features; F is 0 where none were recorded or wanted."""
    images: dict[str, Byte]
    """By camera: (B, height, width, 3) RGB, as recorded; empty where none are wanted."""
    instruction: Int
    """(B,) index into Batch.instructions."""
    context: Float | None = None
    """(B, C) what a frozen encoder made of them before, if it was kept."""
    encoder: str = ''
    """Which encoder that was: a hash over its weights and settings."""

    def __len__(self) -> int:
        """Return B."""
        return len(self.state)


@dataclass(frozen=True)
class Batch:
    """B windows."""

    observation: Observations
    """At t."""
    chunk: Float
    """(B, H, 16) executed commands: rad; grippers 0 (open) .. 1 (closed)."""
    rewards: Float
    """(B, n_max * H) reward of each step t + i; 0 from the window's span on."""
    span: Int
    """(B,) steps of the window: it covers t .. t + span - 1."""
    end: Byte
    """(B,) Reward.TERMINAL_* of its last step; 0: the episode goes on, and the value of
    next_observation counts."""
    next_observation: Observations
    """At t + span; where the window ends the episode, its last one (t + span - 1)."""
    to_end: Int
    """(B,) steps from t to the last step of the episode: 0 there."""
    outcome: Byte
    """(B,) Reward.TERMINAL_* of the episode; 0 if it has no verdict (yet)."""
    source: Byte
    """(B,) ControlStep.SOURCE_*: who was in control of the chunk."""
    task: Int
    """(B,) index into tasks."""
    version: Int
    """(B,) index into versions: the policy that made the chunk."""
    online: NDArray[np.bool_]
    """(B,) whether the window comes from the fleet, not from the offline pool."""
    episode: Int
    """(B,) index into the snapshot's episodes."""
    step: Int
    """(B,) t, the index of the step in its episode."""
    instructions: tuple[str, ...]
    tasks: tuple[str, ...]
    versions: tuple[str, ...]
    """SHA-256 of policies; '' where no policy was in control."""

    def __len__(self) -> int:
        """Return B."""
        return len(self.chunk)
