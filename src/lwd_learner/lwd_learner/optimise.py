# SPDX-License-Identifier: Apache-2.0
"""One step of optimisation: clipped, scheduled, and refused if anything is not finite."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lwd_learner.errors import ConfigError, DivergedError
from lwd_learner.sharding import whole_state


@dataclass(frozen=True)
class OptimiserConfig:
    """Of AdamW."""

    rate: float = 3e-4
    """Learning rate; the paper's actor has 2e-5 and its critic 5e-4, on far larger networks."""
    weight_decay: float = 0.0
    clip: float = 1.0
    """Largest norm of the gradient."""
    warmup: int = 50
    """Updates until the rate is reached."""
    decay_to: float = 0.1
    """Part of the rate that is left at the end of the cosine; 1 keeps it constant."""

    def __post_init__(self) -> None:
        if self.rate <= 0.0 or self.clip <= 0.0:
            raise ConfigError(f'optimiser: rate {self.rate} and clip {self.clip} must be above 0')


class Optimiser:
    """AdamW with warm-up and a cosine over a known number of updates."""

    def __init__(self, module: nn.Module, config: OptimiserConfig, total: int = 0) -> None:
        """Optimise a network.

        Args:
            module: The network.
            config: How.
            total: Updates of the cosine; 0 keeps the rate constant.
        """
        self.parameters = [one for one in module.parameters() if one.requires_grad]
        self.config, self.total = config, total
        self.count = 0
        self._adam = torch.optim.AdamW(
            self.parameters, lr=config.rate, weight_decay=config.weight_decay, fused=True)
        whole_state(self._adam)

    def rate(self) -> float:
        """Return the learning rate of the next update."""
        config = self.config
        warm = min(1.0, (self.count + 1) / max(1, config.warmup))
        if not self.total:
            return config.rate * warm
        part = min(1.0, self.count / self.total)
        cosine = 0.5 * (1.0 + math.cos(math.pi * part))
        return config.rate * warm * (config.decay_to + (1.0 - config.decay_to) * cosine)

    def step(self, loss: Tensor, what: str) -> float:
        """Make an update; returns the gradient's norm before clipping.

        Args:
            loss: A scalar.
            what: Which loss of which batch, for the error.

        Raises:
            DivergedError: Loss or gradient is not finite; nothing has been changed.
        """
        if not torch.isfinite(loss):
            raise DivergedError(
                f'the loss of {what} is {float(loss.detach())}; nothing was changed by it')
        self._adam.zero_grad(set_to_none=True)
        loss.backward()
        norm = float(nn.utils.clip_grad_norm_(self.parameters, self.config.clip))
        if not math.isfinite(norm):
            self._adam.zero_grad(set_to_none=True)
            raise DivergedError(f'the gradient of {what} is not finite; nothing was changed by it')
        for group in self._adam.param_groups:
            group['lr'] = self.rate()
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)
        self.count += 1
        return norm

    def state(self) -> dict[str, Any]:
        """Return what is to be restored."""
        return {'adam': self._adam.state_dict(), 'count': self.count,
                'total': self.total}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self._adam.load_state_dict(state['adam'])
        self.count, self.total = state['count'], state['total']


@torch.no_grad()
def move_towards(slow: nn.Module, fast: nn.Module, rate: float) -> None:
    """Move a network's parameters by a part of the way to another's: an EMA."""
    for one, other in zip(slow.parameters(), fast.parameters()):
        one.lerp_(other, rate)


@torch.no_grad()
def copy_weights(target: nn.Module, source: nn.Module) -> None:
    """Make a network equal to another one, its normalisation included."""
    target.load_state_dict(source.state_dict())
