# SPDX-License-Identifier: Apache-2.0
"""Action chunks: commands on the robot's side, a_1 of the flow on the networks' side.

The flow works on the chunk's cosines in time (orthonormal DCT-II), each normalised on its own:
what is left of the flow's noise is then small where the motion is small, at high frequencies
above all, and a chunk is smooth though a network made it. FAST (arXiv 2501.09747) compresses
chunks in the same way.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from g1_description.joints import ARM_INDICES, COMMAND_JOINTS, limits
from lwd_policy.config import ACTION_DIM
from lwd_policy.normalise import Quantiles

# Half ranges below these are noise of the joints, not motion: rad, closure.
_FLOOR = 0.01
# A gripper's whole way counts as much as so many rad of an arm's joint.
_GRIPPER = 0.3


def cosines(horizon: int, count: int) -> NDArray[np.float64]:
    """Return the first rows of the orthonormal DCT-II, (count, horizon)."""
    k, t = np.arange(count)[:, None], np.arange(horizon)[None] + 0.5
    basis = np.cos(np.pi * k * t / horizon) * np.sqrt(2.0 / horizon)
    basis[0] /= np.sqrt(2.0)
    return basis


class ActionSpace(nn.Module):
    """Commands (B, H, 16) to and from normalised coefficients (B, K, 16).

    Arm targets are taken relative to the command before the chunk: a chunk then goes on from where
    the robot was told to be, not from where it lags behind.
    """

    def __init__(
        self, horizon: int, arms: Literal['relative', 'absolute'], coefficients: int,
    ) -> None:
        """Build it for chunks of a horizon, made of so many cosines."""
        super().__init__()
        self.quantiles = Quantiles((coefficients, ACTION_DIM), floor=_FLOOR)
        mask = torch.zeros(ACTION_DIM)
        if arms == 'relative':
            mask[torch.from_numpy(ARM_INDICES)] = 1.0
        self.relative: Tensor
        self.basis: Tensor
        self.unit: Tensor
        self.register_buffer('relative', mask, persistent=False)
        self.register_buffer(
            'basis', torch.tensor(cosines(horizon, coefficients), dtype=torch.float32),
            persistent=False)
        unit = torch.full((ACTION_DIM,), _GRIPPER)
        unit[torch.from_numpy(ARM_INDICES)] = 1.0
        self.register_buffer('unit', unit, persistent=False)
        lower, upper = limits(COMMAND_JOINTS)
        self.lower: Tensor
        self.upper: Tensor
        self.register_buffer('lower', torch.from_numpy(lower).float(), persistent=False)
        self.register_buffer('upper', torch.from_numpy(upper).float(), persistent=False)

    @property
    def sizes(self) -> Tensor:
        """How much motion, rad, one unit of each normalised coefficient is, (K, D)."""
        return self.quantiles.scale * self.unit

    def fit(self, commands: NDArray[np.floating], sent: NDArray[np.floating]) -> None:
        """Fit the normalisation to chunks, (N, H, 16), that follow commands, (N, 16)."""
        relative = commands - sent[:, None] * self.relative.cpu().numpy()
        self.quantiles.fit(np.einsum('kh,bhd->bkd', self.basis.cpu().numpy(), relative))

    def encode(self, commands: Tensor, sent: Tensor) -> Tensor:
        """Return a chunk of commands, (B, H, 16), as the networks see it, (B, K, 16).

        Args:
            commands: rad; grippers 0 (open) .. 1 (closed).
            sent: (B, 16) the command before the chunk.
        """
        relative = commands - sent[:, None] * self.relative
        return self.quantiles(self.basis @ relative)

    def decode(self, actions: Tensor, sent: Tensor) -> Tensor:
        """Return the commands, (B, H, 16), of what the networks made, (B, K, 16)."""
        relative = self.basis.T @ self.quantiles.inverse(actions)
        return relative + sent[:, None] * self.relative

    def within(self, commands: Tensor) -> Tensor:
        """Return commands, (B, H, 16), as the robot carries them out: within its joints' limits.

        What is beyond them makes no difference to the robot, and has no gradient here.
        """
        return commands.clamp(min=self.lower, max=self.upper)
