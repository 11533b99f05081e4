# SPDX-License-Identifier: Apache-2.0
"""A small trainable text encoder: words as bags of character n-grams, mixed with neighbours.

Words of one root share n-grams (Bojanowski et al. 2017), so that phrasings that were never trained
on still land near those that were; nothing has to be downloaded and no word is unknown.
"""

from __future__ import annotations

import functools
import re
import zlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lwd_policy.linear import Linear

BUCKETS = 4096
MAX_WORDS = 32
_GRAMS = (3, 4)
_LAYERS, _HEADS = 2, 4
_WORD = re.compile(r"[a-z0-9']+")


@functools.lru_cache(maxsize=65536)
def word_ids(word: str) -> tuple[int, ...]:
    """Return the buckets of a word and of its character n-grams."""
    framed = f'<{word}>'
    parts = [framed] + [
        framed[i:i + n] for n in _GRAMS for i in range(len(framed) - n + 1) if n < len(framed)]
    return tuple(sorted({zlib.crc32(part.encode()) % BUCKETS for part in parts}))


def words(instruction: str) -> list[str]:
    """Return an instruction's words, at most MAX_WORDS of them."""
    return _WORD.findall(instruction.lower())[:MAX_WORDS]


class TextEncoder(nn.Module):
    """Instructions to vectors."""

    def __init__(self, width: int) -> None:
        """Build it; `width` is that of its output."""
        super().__init__()
        self.width = width
        self.grams = nn.EmbeddingBag(BUCKETS, width, mode='mean')
        self.mix = nn.ModuleList(Linear(3 * width, width) for _ in range(_LAYERS))
        self.score = Linear(width, _HEADS)
        self.out = Linear(_HEADS * width, width)
        nn.init.normal_(self.grams.weight, std=0.5)

    def forward(self, instructions: Sequence[str]) -> Tensor:
        """Return (U, width) for U instructions.

        An instruction without words gives the same vector as any other such: no instruction.
        """
        device = self.grams.weight.device
        split = [words(instruction) or ['<none>'] for instruction in instructions]
        longest = max(len(row) for row in split)
        flat: list[int] = []
        offsets: list[int] = []
        for row in split:
            for word in row:
                offsets.append(len(flat))
                flat.extend(word_ids(word))
        vectors = self.grams(
            torch.tensor(flat, device=device), torch.tensor(offsets, device=device))
        lengths = torch.tensor([len(row) for row in split], device=device)
        there = torch.arange(longest, device=device) < lengths[:, None]
        tokens = vectors.new_zeros(len(split), longest, self.width)
        tokens[there] = vectors
        for layer in self.mix:
            before = nn.functional.pad(tokens, (0, 0, 1, 0))[:, :-1]
            after = nn.functional.pad(tokens, (0, 0, 0, 1))[:, 1:]
            mixed = nn.functional.gelu(layer(torch.cat([before, tokens, after], dim=-1)))
            tokens = (tokens + mixed) * there[..., None]
        score = self.score(tokens).float().masked_fill(~there[..., None], -1e9)
        weight = torch.softmax(score, dim=1)
        pooled = torch.einsum('uwh,uwd->uhd', weight, tokens.float())
        return self.out(pooled.flatten(1)).float()
