# SPDX-License-Identifier: Apache-2.0
"""lambda: given, or held so that the policy stays within a budget of KL from its reference.

For small changes KL ~ sigma_Q^2 / (2 lambda^2), sigma_Q the standard deviation of Q within one
state over the reference's chunks; so lambda begins at sigma_Q / sqrt(2 KL) and is then moved
until the KL that is measured along the paths is the one that was asked for.
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
    closed_loop: bool = True
    """Whether the measured KL corrects lambda; else it follows sigma_Q alone."""
    gain: float = 0.02
    """Of the correction, per update, in log lambda per log KL."""
    memory: float = 0.98
    """Of the running mean square of sigma_Q and of the running KL."""
    smallest: float = 1e-3
    """lambda never falls below: with it the policy was destroyed."""

    def __post_init__(self) -> None:
        if self.fixed < 0.0 or self.kl <= 0.0:
            raise ConfigError(
                f'temperature: fixed is {self.fixed} and kl is {self.kl}; fixed must not be '
                'negative, and kl must be above 0')


class Temperature:
    """Keeps lambda from update to update."""

    def __init__(self, config: TemperatureConfig) -> None:
        """Begin without knowledge."""
        self.config = config
        self._square: float | None = None
        self._kl: float | None = None
        self._correction = 0.0

    @property
    def value(self) -> float:
        """Lambda."""
        if self.config.fixed:
            return self.config.fixed
        if self._square is None:
            return 1.0
        base = math.sqrt(self._square) / math.sqrt(2.0 * self.config.kl)
        return max(self.config.smallest, base * math.exp(self._correction))

    def observe_spread(self, square: float) -> None:
        """Take in sigma_Q^2: the mean, over states, of Q's variance within one."""
        keep = self.config.memory
        before = square if self._square is None else self._square
        self._square = keep * before + (1.0 - keep) * square

    def observe_kl(self, kl: float) -> None:
        """Take in the KL of an update's paths, nats, and correct lambda."""
        keep = self.config.memory
        self._kl = keep * (kl if self._kl is None else self._kl) + (1.0 - keep) * kl
        if self.config.closed_loop and not self.config.fixed:
            # A policy that has only just begun to move has no KL yet: corrections are bounded.
            ratio = max(self._kl, 1e-6) / self.config.kl
            step = self.config.gain * max(-1.0, min(1.0, math.log(ratio)))
            self._correction = max(-1.5, min(3.0, self._correction + step))

    def state(self) -> dict[str, Any]:
        """Return what is to be restored."""
        return {'square': self._square, 'kl': self._kl, 'correction': self._correction}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self._square, self._kl = state['square'], state['kl']
        self._correction = state['correction']
