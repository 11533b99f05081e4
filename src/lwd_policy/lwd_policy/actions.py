# SPDX-License-Identifier: Apache-2.0
"""Action chunks: commands on the robot's side, a_1 of the flow on the networks' side."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from g1_description.joints import ARM_INDICES
from lwd_policy.config import ACTION_DIM
from lwd_policy.normalise import Quantiles

# Half ranges below these are noise of the joints, not motion: rad, closure.
_FLOOR = 0.02


class ActionSpace(nn.Module):
    """Commands (B, H, 16) to and from normalised chunks (B, H, 16).

    Arm targets are taken relative to the measured state at the chunk's start, each step of the
    chunk is normalised on its own: the first steps, which move least, count as much as the last.
    """

    def __init__(self, horizon: int, arms: Literal['relative', 'absolute']) -> None:
        """Build it for chunks of a horizon."""
        super().__init__()
        self.quantiles = Quantiles((horizon, ACTION_DIM), floor=_FLOOR)
        mask = torch.zeros(ACTION_DIM)
        if arms == 'relative':
            mask[torch.from_numpy(ARM_INDICES)] = 1.0
        self.relative: Tensor
        self.register_buffer('relative', mask, persistent=False)

    def fit(self, commands: NDArray[np.floating], state: NDArray[np.floating]) -> None:
        """Fit the normalisation to chunks, (N, H, 16), begun in states, (N, 20)."""
        relative = self.relative.numpy()
        self.quantiles.fit(commands - state[:, None, :ACTION_DIM] * relative)

    def encode(self, commands: Tensor, state: Tensor) -> Tensor:
        """Return a chunk of commands, (B, H, 16), as the networks see it.

        Args:
            commands: rad; grippers 0 (open) .. 1 (closed).
            state: (B, 20) measured at the chunk's start.
        """
        return self.quantiles(commands - state[:, None, :ACTION_DIM] * self.relative)

    def decode(self, actions: Tensor, state: Tensor) -> Tensor:
        """Return the commands, (B, H, 16), of what the networks made."""
        return self.quantiles.inverse(actions) + state[:, None, :ACTION_DIM] * self.relative
