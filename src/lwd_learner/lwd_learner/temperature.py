# SPDX-License-Identifier: Apache-2.0
"""lambda: given, or held so that the policy stays within a budget of KL from its reference.

The adjoints along a path say what KL the regression asks for, and it goes with 1 / lambda^2: so
lambda is known before the policy has moved, K_1 being what the paths ask for with lambda = 1,

    lambda = sqrt(K_1 / KL),    K_1 in the geometric mean, since single paths ask for thousands.

What the policy then really does, the KL measured along its own paths, corrects it. For small
changes of a Gaussian this is the well-known sigma_Q / sqrt(2 KL), sigma_Q being the standard
deviation of Q within a state; that alone, without the flow's own stiffness, asked for ten and more
times the budget.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from lwd_learner.errors import ConfigError


@dataclass(frozen=True)
class TemperatureConfig:
    """How lambda is set."""

    fixed: float = 0.0
    """Above 0: this lambda always. The paper's 2 acts on a Q of another scale."""
    kl: float = 4.0
    """Budget, nats."""
    largest: float = 4.0
    """What a single path may ask for, in budgets; it counts with a fixed lambda, too."""
    closed_loop: bool = True
    """Whether the measured KL corrects lambda; else it follows what the paths ask for alone."""
    gain: float = 0.02
    """Of the correction, per update, in log lambda per log KL."""
    memory: float = 0.95
    """Of the running means of what is asked for and of the measured KL."""
    smallest: float = 1e-4
    """lambda never falls below: a critic that knows no difference asks for nothing."""

    def __post_init__(self) -> None:
        if self.fixed < 0.0 or self.kl <= 0.0 or self.largest <= 0.0:
            raise ConfigError(
                f'temperature: fixed is {self.fixed}, kl is {self.kl} and largest is '
                f'{self.largest}; fixed must not be negative, the others must be above 0')


class Temperature:
    """Keeps lambda from update to update."""

    def __init__(self, config: TemperatureConfig) -> None:
        """Begin without knowledge."""
        self.config = config
        self._asked: float | None = None
        self._kl: float | None = None
        self._correction = 0.0

    @property
    def value(self) -> float:
        """Lambda."""
        if self.config.fixed:
            return self.config.fixed
        if self._asked is None:
            return 1.0
        base = math.exp(0.5 * self._asked) / math.sqrt(self.config.kl)
        return max(self.config.smallest, base * math.exp(self._correction))

    @property
    def largest(self) -> float:
        """KL, nats, that a single path may ask for."""
        return self.config.largest * self.config.kl

    def observe_asked(self, logarithm: float) -> None:
        """Take in the mean over a batch's paths of log K_1, the KL asked for with lambda = 1."""
        keep = self.config.memory if self._asked is not None else 0.0
        self._asked = keep * (self._asked or 0.0) + (1.0 - keep) * logarithm

    def observe_kl(self, kl: float) -> None:
        """Take in the KL of an update's paths, nats, and correct lambda."""
        keep = self.config.memory
        self._kl = keep * (kl if self._kl is None else self._kl) + (1.0 - keep) * kl
        if self.config.closed_loop and not self.config.fixed:
            # A policy that has only just begun to move has no KL yet, and one that cannot follow
            # will not follow a steeper call either: there is little to be had downwards.
            ratio = max(self._kl, 1e-6) / self.config.kl
            step = self.config.gain * max(-1.0, min(1.0, math.log(ratio)))
            self._correction = max(-0.5, min(3.0, self._correction + step))

    def state(self) -> dict[str, Any]:
        """Return what is to be restored."""
        return {'asked': self._asked, 'kl': self._kl, 'correction': self._correction}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self._asked, self._kl = state['asked'], state['kl']
        self._correction = state['correction']
