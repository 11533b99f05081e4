# SPDX-License-Identifier: Apache-2.0
"""What of a flow's velocity is known before any learning, and what is left to the network.

With a_1 of mean m and variance s (each coefficient on its own) and standard normal noise a_0,
a_w = (1 - w) a_0 + w a_1 has the variance d = (1 - w)^2 + w^2 s, and the best linear guess of
v = a_1 - a_0 given a_w is

    m + (w s - (1 - w)) / d (a_w - w m),    which leaves the variance s / d.

The network sees (a_w - w m) / sqrt(d) and says the rest in units of sqrt(s / d): inputs and
targets have unit variance at every w, as in Karras et al. 2022 for diffusion. Without it a small
network spends most of its capacity on carrying the noise from its input to its output.

What the network says is bounded: where nobody ever was (arms twisted by a policy that went astray)
an unbounded one said hundreds of times what it should, and one such window outweighed all others.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

_SMALLEST = 1e-3
"""Of s: coefficients that hardly vary."""
_BOUND = 8.0
"""Of what the network says, in standard deviations."""


def bounded(values: Tensor) -> Tensor:
    """Return values within +-_BOUND: x (1 + (x / b)^4)^(-1/4), which leaves small ones alone."""
    return values / (1.0 + (values / _BOUND).pow(4)).pow(0.25)


class Preconditioning(nn.Module):
    """The known part of the velocity; before it is fitted, that of standard normal actions."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        """Build it for actions of a shape, (K, D)."""
        super().__init__()
        self.mean: Tensor
        self.variance: Tensor
        self.register_buffer('mean', torch.zeros(shape))
        self.register_buffer('variance', torch.ones(shape))

    def fit(self, actions: Tensor) -> None:
        """Take mean and variance of normalised actions, (N, K, D)."""
        self.mean.copy_(actions.mean(0))
        self.variance.copy_(actions.var(0).clamp(min=_SMALLEST))

    def forward(
        self, network: Callable[[Tensor, Tensor], Tensor], actions: Tensor, level: Tensor,
    ) -> Tensor:
        """Return velocities, (B, K, D), at a_w (B, K, D) and w (B,)."""
        part = level[:, None, None].to(self.mean.dtype)
        spread = self._spread(part)
        apart = actions - part * self.mean
        guess = self.mean + (part * self.variance - (1.0 - part)) / spread * apart
        rest = bounded(network(apart / spread.sqrt(), level).to(self.mean.dtype))
        return guess + (self.variance / spread).sqrt() * rest

    def weight(self, level: Tensor) -> Tensor:
        """Return how much a squared error of v counts, (..., K, D), at levels w, (...).

        The inverse of the variance that is left: every coefficient and level counts alike.
        """
        return self._spread(level[..., None, None]) / self.variance

    def _spread(self, part: Tensor) -> Tensor:
        return (1.0 - part).square() + part.square() * self.variance
