# SPDX-License-Identifier: Apache-2.0
"""Colour words and what they look like: the grounding that a pretrained model would bring.

A few hundred scenes are too few to learn from imitation alone which body "the red can" is: a
network rather memorises the scenes. Which colour a word means is common knowledge, so it is given.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lwd_policy.text import words

PALETTE = {
    'red': (0.8, 0.12, 0.1), 'green': (0.1, 0.55, 0.2), 'blue': (0.12, 0.28, 0.75),
    'yellow': (0.9, 0.8, 0.15), 'orange': (0.95, 0.5, 0.1), 'purple': (0.45, 0.15, 0.6),
    'pink': (0.95, 0.6, 0.7), 'brown': (0.45, 0.28, 0.15), 'white': (0.93, 0.93, 0.93),
    'grey': (0.5, 0.5, 0.5), 'black': (0.07, 0.07, 0.07)}
_SAME = {'gray': 'grey', 'violet': 'purple'}
# How far colours of one name lie apart, in RGB.
_SPREAD = 0.12


def mentioned(instructions: Sequence[str]) -> Tensor:
    """Return which colours each instruction names, (U, C): 1 or 0."""
    names = list(PALETTE)
    found = torch.zeros(len(instructions), len(names))
    for row, instruction in enumerate(instructions):
        for word in words(instruction):
            name = _SAME.get(word, word)
            if name in PALETTE:
                found[row, names.index(name)] = 1.0
    return found


def named(colours: Tensor, mention: Tensor, there: Tensor) -> Tensor:
    """Return how much each token's colour is one that its instruction names, (B, N, 2).

    Args:
        colours: (B, N, 3) RGB in 0 .. 1.
        mention: (B, C) of `mentioned`.
        there: (B, N) which tokens exist.

    Returns:
        The match in 0 .. 1, and the match relative to the best of the scene's tokens.
    """
    palette = torch.tensor(list(PALETTE.values()), device=colours.device, dtype=colours.dtype)
    apart = (colours[:, :, None] - palette).square().sum(-1)
    weight = torch.softmax(-apart / (2.0 * _SPREAD**2), dim=-1)
    match = torch.einsum('bnc,bc->bn', weight, mention) * there
    best = match.amax(dim=1, keepdim=True)
    return torch.stack([match, (match - best) * there], dim=-1)
