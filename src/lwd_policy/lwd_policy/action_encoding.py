# SPDX-License-Identifier: Apache-2.0
"""How the critic sees a chunk of commands.

As joint targets alone, a critic learns slowly which chunk is good; shown where each step of the
chunk brings the hands, by forward kinematics of the known robot, it ranks chunks within one state
far better. Both are here; nothing in either is a secret of the simulator.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from g1_description.joints import GRIPPER_INDICES
from lwd_policy.config import ACTION_DIM
from lwd_policy.kinematics import HandKinematics
from lwd_policy.scene_encoder import offsets

Kind = Literal['poses', 'plain', 'hands']
KINDS: tuple[Kind, ...] = get_args(Kind)
SAMPLES = 6
"""Of the chunk's steps, evenly spread, the last one among them."""


class ActionEncoding(nn.Module):
    """Chunks of commands to features, and to points that the scene's tokens are seen from."""

    def __init__(self, kind: Kind, horizon: int, coefficients: int) -> None:
        """Build it for chunks of a horizon, made of so many coefficients."""
        super().__init__()
        self.kind = kind
        picked = torch.linspace(0, horizon, SAMPLES + 1)[1:].round().long() - 1
        self.picked: Tensor
        self.register_buffer('picked', picked, persistent=False)
        self.hands = HandKinematics()
        plain = coefficients * ACTION_DIM if kind != 'hands' else 0
        # Per sampled step and hand: position 3, two columns of the rotation 6, way from the
        # start coarsely and finely 6; and the grippers.
        posed = SAMPLES * (2 * (3 + 6 + 6) + len(GRIPPER_INDICES))
        self.width = plain + (posed if kind != 'plain' else 0)
        self.points = SAMPLES * 2 if kind != 'plain' else 0

    def forward(
        self, actions: Tensor, commands: Tensor, state: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return features (B, width) and points (B, P, 3), m, base_link.

        Args:
            actions: (B, K, 16) the chunk as the networks see it.
            commands: (B, H, 16) the same as commands: rad.
            state: (B, 20) measured at the chunk's start.
        """
        plain = actions.flatten(1)
        if self.kind == 'plain':
            return plain, actions.new_zeros(len(actions), 0, 3)
        # Millimetres count: bf16 would round a position to several of them.
        with torch.autocast(actions.device.type, enabled=False):
            posed, points = self._poses(commands.float(), state)
        return posed if self.kind == 'hands' else torch.cat([plain, posed], dim=-1), points

    def _poses(self, commands: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        chosen = commands[:, self.picked]
        posture = state[:, None, ACTION_DIM:].expand(-1, SAMPLES, -1)
        position, rotation = self.hands(chosen, posture)
        with torch.no_grad():
            start, _ = self.hands(state[:, None, :ACTION_DIM], state[:, None, ACTION_DIM:])
        away = torch.stack([
            offsets(position[:, :, hand], start[:, :, hand]) for hand in (0, 1)], dim=2)
        columns = rotation[..., :2].transpose(-1, -2).flatten(-2)
        grippers = chosen[..., GRIPPER_INDICES] * 2.0 - 1.0
        posed = torch.cat([position, columns, away], dim=-1).flatten(1)
        return torch.cat([posed, grippers.flatten(1)], dim=-1), position.flatten(1, 2)
