# SPDX-License-Identifier: Apache-2.0
"""What a policy sees, as tensors: the same from a live robot, a bag and a batch of replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lwd_data.replay.batch import Observations


@dataclass(frozen=True)
class Kept:
    """Contexts that a backbone computed before."""

    backbone: str
    """Its identity."""
    context: Tensor
    """(B, context_width), without a condition."""


@dataclass(frozen=True)
class Observation:
    """B observations."""

    state: Tensor
    """(B, 20) measured joints: rad, m; grippers 0 (open) .. 1 (closed)."""
    sent: Tensor
    """(B, 16) the command executed in the tick before; see lwd_data.replay.batch."""
    scene: Tensor
    """(B, F) privileged scene features; F is 0 without."""
    images: dict[str, Tensor]
    """By camera: (B, height, width, 3) uint8 RGB."""
    instruction: Tensor
    """(B,) index into `instructions`."""
    instructions: tuple[str, ...]
    """Each once: a text is encoded once a batch, however many observations have it."""
    condition: Tensor | None = None
    """(B,) kind of condition, 0 for none; see PolicyConfig.conditions."""
    kept: Kept | None = None
    """Contexts, for the backbone that computed them; any other looks for itself."""

    def __len__(self) -> int:
        """Return B."""
        return len(self.state)

    def to(self, device: torch.device | str) -> Observation:
        """Return it on a device."""
        return replace(
            self, state=self.state.to(device), sent=self.sent.to(device),
            scene=self.scene.to(device),
            images={name: image.to(device) for name, image in self.images.items()},
            instruction=self.instruction.to(device),
            condition=None if self.condition is None else self.condition.to(device),
            kept=None if self.kept is None else replace(
                self.kept, context=self.kept.context.to(device)))

    def conditioned(self, condition: Tensor | int) -> Observation:
        """Return it under a condition, (B,) or one for all."""
        if isinstance(condition, int):
            condition = torch.full((len(self),), condition, device=self.state.device)
        return replace(self, condition=condition)

    def repeated(self, times: int) -> Observation:
        """Return each observation so many times in a row: (B * times, ...)."""
        def repeat(tensor: Tensor) -> Tensor:
            return tensor.repeat_interleave(times, dim=0)

        return replace(
            self, state=repeat(self.state), sent=repeat(self.sent), scene=repeat(self.scene),
            images={name: repeat(image) for name, image in self.images.items()},
            instruction=repeat(self.instruction),
            condition=None if self.condition is None else repeat(self.condition),
            kept=None if self.kept is None else replace(
                self.kept, context=repeat(self.kept.context)))


def from_replay(batch: Observations, instructions: Sequence[str]) -> Observation:
    """Return the observations of a replay batch as tensors, without copying."""
    used, index = np.unique(batch.instruction, return_inverse=True)
    return Observation(
        torch.from_numpy(batch.state), torch.from_numpy(batch.sent),
        torch.from_numpy(batch.scene),
        {name: torch.from_numpy(image) for name, image in batch.images.items()},
        torch.from_numpy(index.astype(np.int64)), tuple(instructions[i] for i in used),
        kept=None if batch.context is None else Kept(
            batch.encoder, torch.from_numpy(batch.context)))


def single(
    state: NDArray[np.float64], sent: NDArray[np.float64], instruction: str, *,
    scene: NDArray[np.float32] | None = None,
    images: dict[str, NDArray[np.uint8]] | None = None,
) -> Observation:
    """Return one live observation.

    Args:
        state: (20,) measured joints.
        sent: (16,) the command executed in the tick before; measured joints at the first.
        instruction: What the policy is told.
        scene: (F,) scene features, if it sees them.
        images: By camera, (height, width, 3) RGB, if it sees them.
    """
    features = np.zeros(0, dtype=np.float32) if scene is None else scene
    return Observation(
        torch.from_numpy(np.asarray(state, dtype=np.float32)[None]),
        torch.from_numpy(np.asarray(sent, dtype=np.float32)[None]),
        torch.from_numpy(np.asarray(features, dtype=np.float32)[None]),
        {name: torch.from_numpy(np.ascontiguousarray(image)[None])
         for name, image in (images or {}).items()},
        torch.zeros(1, dtype=torch.long), (instruction,))
