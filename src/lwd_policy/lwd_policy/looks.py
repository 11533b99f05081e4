# SPDX-License-Identifier: Apache-2.0
"""Words for colours and shapes, and what they look like: what a pretrained model would bring.

A few hundred scenes are too few to learn from imitation alone which body "the red can" is: a
network rather memorises the scenes. What such words look like is common knowledge, so it is given.
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
_ROUND = frozenset({'can', 'cans', 'tin', 'tins', 'bottle', 'bottles', 'cup', 'cups', 'glass',
                    'mug', 'jar', 'pot', 'kettle', 'ball'})
_CORNERED = frozenset({'carton', 'cartons', 'box', 'boxes', 'packet', 'packets', 'brick'})
MATCHES = 4
_COLOURS = len(PALETTE)
# How far colours of one name lie apart, in RGB.
_SPREAD = 0.12


def mentioned(instructions: Sequence[str]) -> Tensor:
    """Return which looks each instruction names, (U, C + 2): 1 or 0.

    Columns: the colours of PALETTE, something round, something with corners.
    """
    names = list(PALETTE)
    found = torch.zeros(len(instructions), _COLOURS + 2)
    for row, instruction in enumerate(instructions):
        for word in words(instruction):
            name = _SAME.get(word, word)
            if name in PALETTE:
                found[row, names.index(name)] = 1.0
            found[row, _COLOURS] += word in _ROUND
            found[row, _COLOURS + 1] += word in _CORNERED
    return found.clamp(max=1.0)


def named(colours: Tensor, shapes: Tensor | None, mention: Tensor, there: Tensor) -> Tensor:
    """Return how much each token looks like something that its instruction names, (B, N, MATCHES).

    Args:
        colours: (B, N, 3) RGB in 0 .. 1.
        shapes: (B, N) 1 for round, 0 for cornered; None if the tokens do not say.
        mention: (B, C + 2) of `mentioned`.
        there: (B, N) which tokens exist.

    Returns:
        The match of the colour in 0 .. 1, the same relative to the best of the scene's tokens, and
        both for colour and shape together. An instruction that names no shape is met by any.
    """
    palette = torch.tensor(list(PALETTE.values()), device=colours.device, dtype=colours.dtype)
    apart = (colours[:, :, None] - palette).square().sum(-1)
    weight = torch.softmax(-apart / (2.0 * _SPREAD**2), dim=-1)
    match = torch.einsum('bnc,bc->bn', weight, mention[:, :_COLOURS]) * there
    both = match
    if shapes is not None:
        round_, cornered = mention[:, _COLOURS, None], mention[:, _COLOURS + 1, None]
        fits = shapes * round_ + (1.0 - shapes) * cornered
        both = match * torch.where(round_ + cornered > 0, fits, 1.0)
    found = []
    for each in (match, both):
        found += [each, (each - each.amax(dim=1, keepdim=True)) * there]
    return torch.stack(found, dim=-1)
