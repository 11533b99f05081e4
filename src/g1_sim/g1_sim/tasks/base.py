# SPDX-License-Identifier: Apache-2.0
"""What a task is."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from g1_sim.scene import Distribution, Phrasing, Scene
from g1_sim.world import World

Array = NDArray[np.float64]


class Terminal(enum.IntEnum):
    """How an episode ended; the values of lwd_msgs/Reward.TERMINAL_*."""

    NONE = 0
    SUCCESS = 1
    FAILURE = 2
    TIMEOUT = 3


@dataclass(frozen=True)
class Verdict:
    """What the judge says after a control step."""

    terminal: Terminal
    score: float
    """Mean of the subtasks' scores, in [0, 1]."""
    subtask_scores: tuple[float, ...]
    """0, 0.5 or 1 each."""
    detail: str = ''

    @property
    def reward(self) -> float:
        """1 at a successful end, else 0."""
        return 1.0 if self.terminal is Terminal.SUCCESS else 0.0


@dataclass(frozen=True)
class Phrases:
    """Ways to ask for a task, with a slot for each thing that is named."""

    train: tuple[str, ...]
    held_out: tuple[str, ...]
    """No training instruction is among these: they test whether words or meanings were learnt."""

    def draw(self, rng: np.random.Generator, phrasing: Phrasing) -> str:
        """Draw a phrase; whichever phrasing it is, all that is drawn afterwards is the same."""
        drawn = int(rng.integers(len(self.train)))
        if phrasing == 'train':
            return self.train[drawn]
        return self.held_out[drawn % len(self.held_out)]


class Judge(Protocol):
    """Watches one episode. Call `update` once after every control step."""

    def update(self) -> Verdict:
        """Return the verdict on the world as it is now."""

    def memory(self) -> Array:
        """Return what the judge remembers, to be restored with the world's state."""

    def recall(self, memory: Array) -> None:
        """Take back what it remembered."""


class Task(Protocol):
    """A task: it draws scenes and judges them."""

    name: str
    time_limit: float
    """Seconds until an episode times out."""
    subtasks: Sequence[str]
    phrases: Phrases

    def scene(
        self, seed: int, distribution: Distribution = 'train', phrasing: Phrasing = 'train',
    ) -> Scene:
        """Draw the scene of a seed; the phrasing changes nothing but the instruction."""

    def judge(self, world: World) -> Judge:
        """Return a judge of an episode in a world of this task."""
