# SPDX-License-Identifier: Apache-2.0
"""Action experts: the velocity f(s, a_w, w) of the flow, given the context of s.

Noise level and context modulate every block (adaptive layer norm, Peebles and Xie 2023); the last
layer begins at zero.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lwd_policy.config import ACTION_DIM, PolicyConfig
from lwd_policy.linear import Linear

_FREQUENCIES = 32
_CONDITION = 128
"""Width of what modulates the blocks."""


def embed_level(level: Tensor) -> Tensor:
    """Return the noise level w in [0, 1], (B,), as sines and cosines, (B, 64)."""
    rates = torch.exp(torch.linspace(
        0.0, math.log(200.0), _FREQUENCIES, device=level.device, dtype=level.dtype))
    angles = level[:, None] * rates
    return torch.cat([torch.sin(angles), torch.cos(angles)], dim=-1)


class Modulation(nn.Module):
    """Scale, shift and gate of a block from the conditioning vector."""

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.out = Linear(condition, 3 * width)
        nn.init.zeros_(self.out.bias)
        nn.init.normal_(self.out.weight, std=0.02)

    def forward(self, hidden: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Return the modulated input of a block and the gate of its output."""
        scale, shift, gate = self.out(condition).chunk(3, dim=-1)
        if hidden.dim() == 3:
            scale, shift, gate = scale[:, None], shift[:, None], gate[:, None]
        return self.norm(hidden) * (1.0 + scale) + shift, 1.0 + gate


class MlpExpert(nn.Module):
    """The whole chunk as one vector through residual blocks: cheap on a CPU."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        width, size = config.expert_width, config.coefficients * ACTION_DIM
        self.shape = config.shape
        self.first = Linear(size + config.context_width, width)
        self.condition = Linear(config.context_width + 2 * _FREQUENCIES, _CONDITION)
        self.modulations = nn.ModuleList(
            Modulation(width, _CONDITION) for _ in range(config.expert_depth))
        self.blocks = nn.ModuleList(
            nn.Sequential(Linear(width, width), nn.GELU(), Linear(width, width))
            for _ in range(config.expert_depth))
        self.last = Linear(width, size)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, context: Tensor, actions: Tensor, level: Tensor) -> Tensor:
        """Return velocities, (B, K, D), at actions a_w, (B, K, D), and levels w, (B,)."""
        condition = nn.functional.gelu(
            self.condition(torch.cat([context, embed_level(level)], dim=-1)))
        hidden = self.first(torch.cat([actions.flatten(1), context], dim=-1))
        for modulation, block in zip(self.modulations, self.blocks):
            inner, gate = modulation(hidden, condition)
            hidden = hidden + gate * block(inner)
        return self.last(hidden).unflatten(-1, self.shape)


class TransformerExpert(nn.Module):
    """One token a coefficient (K = H: a control step), attending to each other: for a GPU."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        width = config.expert_width
        self.heads = config.expert_heads
        self.first = Linear(ACTION_DIM, width)
        self.place = nn.Parameter(torch.randn(config.coefficients, width) * 0.02)
        self.condition = Linear(config.context_width + 2 * _FREQUENCIES, width)
        depth = range(config.expert_depth)
        self.attention_modulations = nn.ModuleList(Modulation(width, width) for _ in depth)
        self.project = nn.ModuleList(Linear(width, 3 * width) for _ in depth)
        self.merge = nn.ModuleList(Linear(width, width) for _ in depth)
        self.modulations = nn.ModuleList(Modulation(width, width) for _ in depth)
        self.blocks = nn.ModuleList(
            nn.Sequential(Linear(width, 4 * width), nn.GELU(), Linear(4 * width, width))
            for _ in depth)
        self.last = Linear(width, ACTION_DIM)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, context: Tensor, actions: Tensor, level: Tensor) -> Tensor:
        """Return velocities, (B, K, D), at actions a_w, (B, K, D), and levels w, (B,)."""
        condition = nn.functional.gelu(
            self.condition(torch.cat([context, embed_level(level)], dim=-1)))
        hidden = self.first(actions) + self.place
        for i, block in enumerate(self.blocks):
            inner, gate = self.attention_modulations[i](hidden, condition)
            query, key, value = (
                part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
                for part in self.project[i](inner).chunk(3, dim=-1))
            mixed = nn.functional.scaled_dot_product_attention(query, key, value)
            hidden = hidden + gate * self.merge[i](mixed.transpose(1, 2).flatten(2))
            inner, gate = self.modulations[i](hidden, condition)
            hidden = hidden + gate * block(inner)
        return self.last(hidden)


def make_expert(config: PolicyConfig) -> MlpExpert | TransformerExpert:
    """Return the expert that a configuration asks for."""
    return MlpExpert(config) if config.expert == 'mlp' else TransformerExpert(config)
