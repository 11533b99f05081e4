# SPDX-License-Identifier: Apache-2.0
"""TD targets of whole chunks, with a number of steps n that depends on task and stage.

    y_t = sum_{i < span} gamma^i r_{t+i} + gamma^span b(s_{t+span})

where the span is n H control steps, fewer where the episode ends, and where the policy or who is
in control changes (the sampler sees to that). There is no bootstrap past an end; a time-out, which
says nothing about the state, may count as none: then b is taken at the episode's last observation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from lwd_data.replay.batch import Batch
from lwd_learner.errors import ConfigError, DataError

GAMMA = 0.9999
"""Per control step; the paper's."""
SUCCESS, TIMEOUT = 1, 3
"""Reward.TERMINAL_*."""

Stage = Literal['offline', 'online']


@dataclass(frozen=True)
class TdConfig:
    """How targets are made."""

    gamma: float = GAMMA
    """Discount per control step."""
    long_n: int = 10
    """Chunks of a target on long-horizon tasks, offline."""
    short_n: int = 1
    """Chunks of a target on short tasks offline, and on all where the offline stage settles."""
    online_n: int = 10
    """Chunks of a target online, on long-horizon tasks; fewer where a human takes over or the
    policy changes. The paper has 1, which does not learn what came of a fleet's episodes in as
    many updates as there are between two policies (docs/learner.md)."""
    long_chunks: float = 5.0
    """Tasks whose successful episodes have at least so many chunks are long-horizon. The paper's
    short tasks have n = 1 from the start; here they too begin with the long n, since a value
    that has to come back over eight bootstraps takes thousands of updates."""
    fixed_n: int = 0
    """Above 0: this n always (ablation)."""
    bootstrap_timeouts: bool = False
    """Whether a time-out is bootstrapped; the paper's are ends like others."""

    def __post_init__(self) -> None:
        if not 0.0 < self.gamma <= 1.0:
            raise ConfigError(f'td.gamma is {self.gamma}; it must be above 0, at most 1')
        for name in ('long_n', 'short_n', 'online_n'):
            if getattr(self, name) < 1:
                raise ConfigError(f'td.{name} is {getattr(self, name)}; it must be at least 1')
        if self.fixed_n < 0:
            raise ConfigError(f'td.fixed_n is {self.fixed_n}; it must be 0 (off) or more')

    def n_steps(
        self, chunks: Mapping[str, float], stage: Stage, *, settle: bool = False,
    ) -> dict[str, int]:
        """Return n of each task.

        Args:
            chunks: Median length of a task's successful episodes, in chunks.
            stage: offline or online.
            settle: Whether the offline stage is in its second part, which removes the bias of
                off-policy returns with the short n.
        """
        if self.fixed_n:
            return dict.fromkeys(chunks, self.fixed_n)
        long = self.online_n if stage == 'online' else self.long_n
        return {task: long if not settle and length >= self.long_chunks else self.short_n
                for task, length in chunks.items()}


@dataclass(frozen=True)
class Returns:
    """The part of a target that comes from the data."""

    reward: Tensor
    """(B,) discounted rewards of the window."""
    discount: Tensor
    """(B,) of the value at the next observation; 0 where nothing follows."""

    def to(self, device: torch.device) -> Returns:
        """Return it on a device."""
        return Returns(self.reward.to(device), self.discount.to(device))

    def targets(self, bootstrap: Tensor) -> Tensor:
        """Return y, (B,), given the values b, (B,), of the next observations."""
        return self.reward + self.discount * bootstrap


def returns(batch: Batch, config: TdConfig) -> Returns:
    """Return rewards and discounts of a batch.

    Raises:
        DataError: A reward is not finite.
    """
    if not np.all(np.isfinite(batch.rewards)):
        row = int(np.argwhere(~np.isfinite(batch.rewards))[0][0])
        raise DataError(
            f'a reward of episode {int(batch.episode[row])}, window at step '
            f'{int(batch.step[row])}, is not finite')
    powers = config.gamma ** np.arange(batch.rewards.shape[1])
    reward = (batch.rewards * powers).sum(axis=1)
    goes_on = batch.end == 0
    if config.bootstrap_timeouts:
        goes_on = goes_on | (batch.end == TIMEOUT)
    discount = np.where(goes_on, config.gamma ** batch.span.astype(np.float64), 0.0)
    return Returns(torch.from_numpy(reward.astype(np.float32)),
                   torch.from_numpy(discount.astype(np.float32)))


def outcomes(batch: Batch, config: TdConfig) -> Tensor:
    """Return what came of each window's episode, (B,): discounted success, or 0.

    NaN where it is not known yet. That is the return of whoever acted, by Monte Carlo; a Q that
    knows of better actions may rightly be above it.
    """
    success = config.gamma ** batch.to_end.astype(np.float64)
    found = np.where(batch.outcome == SUCCESS, success, np.where(batch.outcome, 0.0, np.nan))
    return torch.from_numpy(found.astype(np.float32))
