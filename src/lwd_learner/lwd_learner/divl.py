# SPDX-License-Identifier: Apache-2.0
"""DIVL: distributional implicit value learning.

V_psi(s) is a categorical distribution over K atoms: of the target critic's values Qbar(s, a) over
the chunks a that the data contain at s. Its loss is the cross-entropy to Qbar(s, a), projected on
the two nearest atoms. A high quantile of it is the value of acting well there:

    b(s) = Quantile_tau(V_psi(s)),   tau = clip(tau_base - alpha h(s), tau_min, tau_max)

with h the entropy of V_psi(s) over log K: the less sure V is, the less optimistic the bootstrap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lwd_learner.errors import ConfigError


@dataclass(frozen=True)
class DivlConfig:
    """Atoms and optimism."""

    atoms: int = 201
    """K."""
    low: float = -0.1
    """Value of the first atom."""
    high: float = 1.1
    """Value of the last atom."""
    tau_offline: float = 0.6
    """tau_base in the offline stage."""
    tau_online: float = 0.9
    """tau_base in the online stage."""
    alpha: float = 0.3
    """How much uncertainty lowers tau; 0 keeps it constant (ablation)."""
    tau_min: float = 0.4
    """From a public re-implementation, not from the paper."""
    tau_max: float = 0.9
    """From a public re-implementation, not from the paper."""

    def __post_init__(self) -> None:
        if self.atoms < 2 or not self.low < self.high:
            raise ConfigError(
                f'divl: {self.atoms} atoms from {self.low} to {self.high}; there must be at least '
                'two, and low below high')
        if not 0.0 <= self.tau_min <= self.tau_max <= 1.0:
            raise ConfigError(
                f'divl: tau_min {self.tau_min} and tau_max {self.tau_max} must be in order, in '
                '0 .. 1')

    def support(self, device: torch.device | str = 'cpu') -> Tensor:
        """Return the atoms' values, (K,)."""
        return torch.linspace(self.low, self.high, self.atoms, device=device)


def two_hot(values: Tensor, support: Tensor) -> Tensor:
    """Return values, (...,), as weights on the two nearest atoms, (..., K): their mean is kept.

    Values beyond the atoms are taken as the outermost atom.
    """
    last = len(support) - 1
    step = (support[-1] - support[0]) / last
    place = ((values - support[0]) / step).clamp(0.0, last)
    below = place.floor().clamp(max=last - 1)
    part = (place - below)[..., None]
    index = below.long()[..., None]
    weights = torch.zeros(*values.shape, last + 1, dtype=values.dtype, device=values.device)
    weights.scatter_(-1, index, 1.0 - part)
    return weights.scatter_add_(-1, index + 1, part)


def loss(logits: Tensor, values: Tensor, support: Tensor) -> Tensor:
    """Return each sample's cross-entropy, (B,), of V's logits, (B, K), to values, (B,)."""
    return -(two_hot(values, support) * torch.log_softmax(logits, dim=-1)).sum(-1)


def mean(logits: Tensor, support: Tensor) -> Tensor:
    """Return the mean of each distribution, (B,)."""
    return torch.softmax(logits, dim=-1) @ support


def entropy(logits: Tensor) -> Tensor:
    """Return h in [0, 1], (B,): entropy over log K."""
    log_p = torch.log_softmax(logits, dim=-1)
    return -(log_p.exp() * log_p).sum(-1) / math.log(logits.shape[-1])


def adaptive_tau(logits: Tensor, tau_base: float, config: DivlConfig) -> Tensor:
    """Return tau, (B,), of each distribution."""
    return (tau_base - config.alpha * entropy(logits)).clamp(config.tau_min, config.tau_max)


def quantile(logits: Tensor, tau: Tensor, support: Tensor) -> Tensor:
    """Return the quantile, (B,), of each distribution, linear between atoms.

    The mass of an atom is spread evenly over the interval of which it is the middle, so that the
    quantile moves smoothly with tau and with the logits.
    """
    cumulative = torch.softmax(logits, dim=-1).cumsum(-1)
    cumulative = cumulative / cumulative[..., -1:]
    index = torch.searchsorted(cumulative, tau[..., None]).clamp(max=len(support) - 1)
    above = cumulative.gather(-1, index)[..., 0]
    before = cumulative.gather(-1, (index - 1).clamp(min=0))
    below = torch.where(index > 0, before, torch.zeros_like(before))[..., 0]
    part = ((tau - below) / (above - below).clamp(min=1e-12)).clamp(0.0, 1.0)
    step = (support[-1] - support[0]) / (len(support) - 1)
    found = support[index[..., 0]] + (part - 0.5) * step
    return found.clamp(support[0], support[-1])


def bootstrap(
    logits: Tensor, tau_base: float, support: Tensor, config: DivlConfig,
) -> tuple[Tensor, Tensor]:
    """Return b and the tau that was taken, (B,) each."""
    tau = adaptive_tau(logits, tau_base, config)
    return quantile(logits, tau, support), tau
