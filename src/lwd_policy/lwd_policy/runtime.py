# SPDX-License-Identifier: Apache-2.0
"""A policy in use: observations in, commands out, with the options that are there at run time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from g1_description.joints import COMMAND_JOINTS, limits
from lwd_policy import flow
from lwd_policy.continuation import Committed, Continuation
from lwd_policy.errors import ConfigError
from lwd_policy.observation import Observation
from lwd_policy.policy import FlowPolicy

_LIMITS = limits(COMMAND_JOINTS)


class Ranker(Protocol):
    """What tells which of several chunks is best: a critic."""

    def rank(self, observation: Observation, actions: Tensor) -> Tensor:
        """Return the value, (B, n), of n chunks each, (B, n, K, D), as the networks see them."""


@dataclass(frozen=True)
class RuntimeConfig:
    """How chunks are drawn."""

    steps: int = flow.STEPS
    """Of the flow's integration."""
    shrink: float = flow.SHRINK
    """Each of them is so many times as long as the one before; 1 makes them even."""
    noise: float = 1.0
    """Standard deviation of the flow's initial noise; less makes the policy more decided."""
    best_of: int = 1
    """Draws so many chunks and takes the one that the critic ranks best."""
    condition: int = 0
    """Kind of condition the policy is asked for; see PolicyConfig.conditions."""
    guidance: float = 1.0
    """Of the condition: 1 as trained; above 1 exaggerates it (Ho and Salimans 2022)."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.best_of < 1 or self.noise < 0.0 or not 0.0 < self.shrink <= 1.0:
            raise ConfigError(
                f'runtime: steps {self.steps} and best_of {self.best_of} must be at least 1, '
                f'noise {self.noise} must not be negative, shrink {self.shrink} must be above 0 '
                'and at most 1')


class ChunkSampler:
    """Draws chunks from a policy."""

    def __init__(
        self, policy: FlowPolicy, config: RuntimeConfig | None = None, *,
        ranker: Ranker | None = None, seed: int = 0,
    ) -> None:
        """Use a policy.

        Args:
            policy: In evaluation mode from here on.
            config: Options.
            ranker: A critic, needed for best_of.
            seed: Of the flow's noise.

        Raises:
            ConfigError: best_of without a critic, or a condition that the policy has not.
        """
        self.config = config or RuntimeConfig()
        if self.config.best_of > 1 and ranker is None:
            raise ConfigError(
                f'best_of is {self.config.best_of}, but there is no critic to choose; give '
                'one, or set best_of to 1')
        if not 0 <= self.config.condition <= policy.config.conditions:
            raise ConfigError(
                f'condition is {self.config.condition}; this policy knows '
                f'0 .. {policy.config.conditions}')
        self.policy = policy.eval()
        self._ranker = ranker
        self._generator = torch.Generator().manual_seed(seed)

    @torch.no_grad()
    def actions(self, observation: Observation, committed: Committed | None = None) -> Tensor:
        """Return one chunk an observation, (B, K, D), as the networks see it.

        Args:
            observation: B of them; one if something is committed.
            committed: What the chunk is to go on from; None draws it freely.
        """
        config, policy = self.config, self.policy
        count = len(observation)
        context = policy.context(observation.conditioned(config.condition)
                                 if policy.config.conditions else observation)
        noise = policy.noise(
            count * config.best_of, scale=config.noise, generator=self._generator)
        context = context.repeat_interleave(config.best_of, dim=0)
        if config.guidance != 1.0 and config.condition:
            free = policy.context(observation.conditioned(0)).repeat_interleave(
                config.best_of, dim=0)

            def velocity(actions: Tensor, level: Tensor) -> Tensor:
                without = policy.velocity(free, actions, level)
                return without + config.guidance * (
                    policy.velocity(context, actions, level) - without)
        else:
            def velocity(actions: Tensor, level: Tensor) -> Tensor:
                return policy.velocity(context, actions, level)
        guide = None
        if committed is not None and len(committed.commands):
            guide = Continuation(policy.actions, observation.sent, committed)
        drawn = flow.integrate(
            velocity, noise, config.steps, shrink=config.shrink, guide=guide).unflatten(
            0, (count, config.best_of))
        if self._ranker is None or config.best_of == 1:
            return drawn[:, 0]
        best = self._ranker.rank(observation, drawn).argmax(dim=1)
        return drawn[torch.arange(count, device=drawn.device), best]

    @torch.no_grad()
    def commands(
        self, observation: Observation, committed: Committed | None = None,
    ) -> NDArray[np.float64]:
        """Return one chunk of commands an observation, (B, H, 16): rad; grippers 0 .. 1.

        Args:
            observation: B of them; one if something is committed.
            committed: See `actions`.
        """
        actions = self.actions(observation, committed)
        commands = self.policy.actions.decode(actions, observation.sent)
        # A flow overshoots the ends of a joint's range a little: a gripper would be "more than
        # open", and the driver would report a clipped command at every step.
        return np.clip(commands.double().cpu().numpy(), *_LIMITS)
