# SPDX-License-Identifier: Apache-2.0
"""What the actor asks of a policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from g1_description.joints import COMMAND_NAMES
from lwd_actor.errors import InferenceError
from lwd_policy.continuation import Committed
from lwd_policy.observation import Observation

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Needs:
    """What a policy must be shown."""

    scene: str = ''
    """Layout of the privileged features of a simulated scene; empty if it does not see them."""
    cameras: tuple[str, ...] = ()
    image_size: int = 0
    """Width and height of the images, pixels; 0 for any."""


class ChunkPolicy(Protocol):
    """A policy, loaded and warm. Used from one thread at a time."""

    version: str
    """SHA-256 of its weights; what a server says of itself, if it is one."""
    horizon: int
    """H."""
    needs: Needs
    continues: bool
    """Whether it takes `committed` into account."""
    seconds: float
    """What an inference took when it was warmed up."""

    def reset(self, seed: int) -> None:
        """Begin an episode: from here on the same observations give the same chunks."""

    def infer(self, observation: Observation, committed: Committed | None) -> Array:
        """Return commands, (H, 16), of one observation.

        Raises:
            PolicyError: The observation is not of the policy's layout.
            InferenceError: It has no answer, or one that cannot be followed.
        """

    def close(self) -> None:
        """Let go of what it holds."""


def check(commands: Array, who: str, horizon: int | None = None) -> Array:
    """Return commands that can be followed, (H, 16).

    Raises:
        InferenceError: They are of another shape, or not finite; it names the first.
    """
    joints = len(COMMAND_NAMES)
    if commands.ndim != 2 or not len(commands) or commands.shape[1] != joints or (
            horizon is not None and len(commands) != horizon):
        raise InferenceError(
            f'{who} answers with actions of shape {commands.shape}; this robot takes '
            f'({horizon or "H"}, {joints}): the joints of `lwd layout`')
    bad = np.argwhere(~np.isfinite(commands))
    if len(bad):
        step, joint = bad[0]
        raise InferenceError(
            f'{who} answers with {commands[step, joint]} for {COMMAND_NAMES[joint]} in step '
            f'{step}')
    return commands
