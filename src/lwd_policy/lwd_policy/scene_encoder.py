# SPDX-License-Identifier: Apache-2.0
"""Encodes a scene of tokens: which of them matter depends on the instruction.

Every token gets a score for each of several heads, and the heads' weighted means are what comes
out. A score is the sum of a dot product with the query (instruction and joints), which matches
words to colours and shapes, and of what a network says of token and query together (Bahdanau et
al. 2015), which can tell that a token stands alone or in the way. Linear in the number of tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lwd_data.scene_layout import SceneLayout
from lwd_policy.linear import Linear
from lwd_policy.looks import MATCHES, named

HEADS = 8
_KEY = 16
# Lengths on which offsets are shown, m: across a table, and between fingers.
_FAR, _NEAR = 0.3, 0.04
_CENTRE = (0.7, 0.0, 0.9)
# What lies or flies further away than any demonstration showed looks as if it were at its edge:
# networks go on in straight lines, and a thing that fell off the table is soon very far away.
_FURTHEST, _EDGE = 4.0, 8.0


def offsets(positions: Tensor, points: Tensor) -> Tensor:
    """Return where tokens lie as seen from points, coarsely and finely.

    Args:
        positions: (B, N, 3), m.
        points: (B, P, 3), m.

    Returns:
        (B, N, P * 6).
    """
    apart = positions[:, :, None] - points[:, None]
    far = (apart / _FAR).clamp(-_FURTHEST, _FURTHEST)
    return torch.cat([far, torch.tanh(apart / _NEAR)], dim=-1).flatten(2)


def _log_size(size: Tensor) -> Tensor:
    """Return half sizes, m, on a scale on which two cans differ as much as two tables."""
    return (torch.log(size.clamp(min=1e-3)) + 3.0) * 1.5


class SceneTokens(nn.Module):
    """Splits scene features into tokens of one width, with their positions."""

    def __init__(
        self, layout: SceneLayout, width: int, points: int, *, reach: bool = False,
    ) -> None:
        """Build it.

        Args:
            layout: Of the features.
            width: Of a token.
            points: So many points the tokens' positions are seen from.
            reach: Whether they are also seen as the joint motions that bring a hand there.
        """
        super().__init__()
        self.layout = layout
        self.points = points
        extra = points * 6 + (2 * 7 if reach else 0)
        self.groups = [group for group in layout.groups if group.name != 'hands']
        self.embed = nn.ModuleList(
            Linear(group.size + (extra if group.position is not None else 0)
                   + (MATCHES if group.colour is not None else 0), width)
            for group in self.groups)

    def hands(self, scene: Tensor) -> Tensor:
        """Return where the hands are now, (B, 2, 3), m."""
        group = self.layout.groups[0]
        return scene[:, :group.count * group.size].unflatten(1, (group.count, group.size))[..., :3]

    def forward(
        self, scene: Tensor, points: Tensor, mention: Tensor, reach: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return tokens, (B, N, width), and whether each is there, (B, N).

        Args:
            scene: (B, F) features.
            points: (B, P, 3) to see positions from, m, base_link; the hands first.
            mention: (B, L) which looks the instruction names; see looks.mentioned.
            reach: (B, 2, 7, 3) joint motions of the arms per motion of the hands, rad per m.
        """
        tokens, there = [], []
        at = self.layout.groups[0].count * self.layout.groups[0].size
        centre = scene.new_tensor(_CENTRE)
        for group, embed in zip(self.groups, self.embed):
            size = group.count * group.size
            values = scene[:, at:at + size].unflatten(1, (group.count, group.size))
            at += size
            exists = (scene.new_ones(values.shape[:2], dtype=torch.bool)
                      if group.present is None else values[..., group.present] > 0.5)
            if group.colour is not None:
                colours = values[..., group.colour:group.colour + 3]
                shapes = None if group.round is None else values[..., group.round]
                values = torch.cat([values, named(colours, shapes, mention, exists)], dim=-1)
            if group.extent is not None:
                values = torch.cat([
                    values[..., :group.extent],
                    _log_size(values[..., group.extent:group.extent + 3]),
                    values[..., group.extent + 3:]], dim=-1)
            if group.position is not None:
                where = values[..., group.position:group.position + 3]
                seen = [values[..., :group.position], (where - centre) / _FAR,
                        values[..., group.position + 3:], offsets(where, points)]
                if reach is not None:
                    away = where[:, :, None] - points[:, None, :2]
                    seen.append(torch.einsum('bsji,bnsi->bnsj', reach, away).flatten(2))
                values = torch.cat(seen, dim=-1)
            tokens.append(embed(values.clamp(-_EDGE, _EDGE)))
            there.append(exists)
        return torch.cat(tokens, dim=1), torch.cat(there, dim=1)


class TokenPooling(nn.Module):
    """Tokens and a query to one vector."""

    def __init__(self, width: int, query: int, out: int) -> None:
        """Build it for tokens of a width and a query of another."""
        super().__init__()
        self.query = Linear(query, width)
        self.mix = Linear(width, width)
        self.score = Linear(width, HEADS)
        self.ask = nn.Sequential(
            Linear(query, width), nn.GELU(), Linear(width, HEADS * _KEY))
        self.key = nn.Sequential(
            Linear(width, width), nn.GELU(), Linear(width, HEADS * _KEY))
        self.value = Linear(width, out)
        self.out = out

    def forward(self, tokens: Tensor, there: Tensor, query: Tensor) -> Tensor:
        """Return (B, out); each head pools its own part of the value.

        Args:
            tokens: (B, N, width).
            there: (B, N) which of them exist.
            query: (B, query).
        """
        hidden = nn.functional.gelu(tokens + self.query(query)[:, None])
        hidden = nn.functional.gelu(self.mix(hidden))
        asked = self.ask(query).unflatten(-1, (HEADS, _KEY))
        keys = self.key(tokens).unflatten(-1, (HEADS, _KEY))
        score = self.score(hidden) + torch.einsum('bhk,bnhk->bnh', asked, keys) / _KEY**0.5
        score = score.float().masked_fill(~there[..., None], -1e9)
        weight = torch.softmax(score, dim=1)
        value = self.value(hidden).unflatten(-1, (HEADS, self.out // HEADS))
        return (weight[..., None] * value).sum(1).flatten(1)
