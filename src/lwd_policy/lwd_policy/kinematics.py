# SPDX-License-Identifier: Apache-2.0
"""Forward kinematics of both hands in PyTorch, from the robot's own table of links.

T_tcp = T_base prod_i (C_i Rz(q_i)), C_i a joint's constant origin (Craig 2005, chapter 3);
differentiable, so that a critic which looks at poses has a gradient with respect to joint targets.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from g1_description.joints import STATE_NAMES
from g1_description.links import TCP, Link, end_link, link
from g1_description.transforms import rpy_to_matrix
from lwd_policy.config import ACTION_DIM


def _chain(side: Literal['l', 'r']) -> list[Link]:
    """Return the links from the base to an arm's flange."""
    chain: list[Link] = []
    name: str | None = end_link(side)
    while name is not None:
        chain.append(link(name))
        name = chain[-1].parent
    return chain[::-1]


class HandKinematics(nn.Module):
    """Poses of both hands' TCPs in base_link."""

    def __init__(self) -> None:
        """Read the chains of the two arms, which have the same joints in the same order."""
        super().__init__()
        chains = [_chain(side) for side in ('l', 'r')]
        self._kinds = [one.kind for one in chains[0]]
        self._joints = [
            [STATE_NAMES.index(one.joint.name) if one.joint else -1 for one in pair]
            for pair in zip(*chains)]
        rotations = np.array([[rpy_to_matrix(one.rpy) for one in pair]
                              for pair in zip(*chains)])
        offsets = np.array([[one.xyz for one in pair] for pair in zip(*chains)])
        self.rotations: Tensor
        self.offsets: Tensor
        self.tcp: Tensor
        self.register_buffer('rotations', torch.tensor(rotations, dtype=torch.float32), False)
        self.register_buffer('offsets', torch.tensor(offsets, dtype=torch.float32), False)
        self.register_buffer('tcp', torch.tensor(TCP, dtype=torch.float32), False)

    def forward(self, commands: Tensor, posture: Tensor) -> tuple[Tensor, Tensor]:
        """Return where the hands are.

        Args:
            commands: (..., 16) joint positions: rad.
            posture: (..., 4) head yaw and pitch, lift, waist pitch: rad, m.

        Returns:
            positions (..., 2, 3), m, and rotations (..., 2, 3, 3), left hand first, base_link.
        """
        position, rotation, _, _ = self._walk(commands, posture)
        return position, rotation

    def jacobian(self, commands: Tensor, posture: Tensor) -> Tensor:
        """Return the geometric Jacobians of both TCPs, (..., 2, 6, 7): m/rad, then rad/rad.

        Column i is (z_i x (p - p_i), z_i), z_i and p_i being axis and origin of arm joint i.
        """
        position, _, origins, axes = self._walk(commands, posture)
        lever = position[..., None, :] - origins
        linear = torch.linalg.cross(axes, lever)
        return torch.cat([linear, axes], dim=-1).transpose(-1, -2)

    def _walk(
        self, commands: Tensor, posture: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        joints = torch.cat([commands, posture], dim=-1)
        shape = joints.shape[:-1]
        rotation = self.rotations.new_zeros(*shape, 2, 3, 3) + torch.eye(
            3, device=joints.device, dtype=joints.dtype)
        position = joints.new_zeros(*shape, 2, 3)
        origins, axes = [], []
        for k, kind in enumerate(self._kinds):
            position = position + torch.einsum('...sij,sj->...si', rotation, self.offsets[k])
            rotation = torch.einsum('...sij,sjk->...sik', rotation, self.rotations[k])
            if kind == 'fixed':
                continue
            value = joints[..., self._joints[k]]
            if kind == 'prismatic':
                position = position + rotation[..., 2] * value[..., None]
                continue
            if self._joints[k][0] < ACTION_DIM:
                origins.append(position)
                axes.append(rotation[..., 2])
            cos, sin = torch.cos(value)[..., None], torch.sin(value)[..., None]
            first, second = rotation[..., 0], rotation[..., 1]
            rotation = torch.stack(
                [cos * first + sin * second, cos * second - sin * first, rotation[..., 2]], dim=-1)
        position = position + torch.einsum('...ij,j->...i', rotation, self.tcp)
        return position, rotation, torch.stack(origins, dim=-2), torch.stack(axes, dim=-2)


def reach(jacobian: Tensor, damping: float = 0.05) -> Tensor:
    """Return what moves the hands without turning them, (..., 2, 7, 3): rad per m.

    The position part of the damped least squares inverse J^T (J J^T + damping^2 I)^-1.
    """
    size = jacobian.shape[-2]
    square = jacobian @ jacobian.transpose(-1, -2)
    eye = torch.eye(size, device=jacobian.device, dtype=jacobian.dtype)
    inverse = torch.linalg.inv(square + damping**2 * eye)
    return (jacobian.transpose(-1, -2) @ inverse)[..., :3]
