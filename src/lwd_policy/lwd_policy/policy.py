# SPDX-License-Identifier: Apache-2.0
"""The flow policy, and what the learner asks of any policy that it can train."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lwd_policy import flow
from lwd_policy.actions import ActionSpace
from lwd_policy.backbone import Backbone
from lwd_policy.config import PolicyConfig
from lwd_policy.expert import make_expert
from lwd_policy.observation import Observation
from lwd_policy.precondition import Preconditioning


class FlowVla(Protocol):
    """A vision-language-action policy with a flow: anything that has this can be trained here."""

    actions: ActionSpace
    """Commands to and from a_1."""

    def context(self, observation: Observation) -> Tensor:
        """Return what of B observations the velocities depend on; the first dimension is B."""

    def velocity(self, context: Tensor, actions: Tensor, level: Tensor) -> Tensor:
        """Return velocities (B, K, D) at a_w (B, K, D) and w (B,)."""

    def __call__(self, observation: Observation, actions: Tensor, level: Tensor) -> Tensor:
        """Return velocities (B, L, K, D) at a_w (B, L, K, D) and w (B, L)."""

    def weight(self, level: Tensor) -> Tensor:
        """Return how much squared errors of the velocity count, (..., K, D), at w (...)."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return what can be trained."""


class FlowPolicy(nn.Module):
    """The policy of this project: a backbone and an action expert."""

    def __init__(self, config: PolicyConfig | None = None) -> None:
        """Build it as configured; its weights are random, its normalisation is not fitted."""
        super().__init__()
        self.config = config or PolicyConfig()
        self.actions = ActionSpace(
            self.config.horizon, self.config.arms, self.config.coefficients)
        self.backbone = Backbone(self.config)
        self.expert = make_expert(self.config)
        self.known = Preconditioning(self.config.shape)

    def fit(
        self, commands: NDArray[np.floating], state: NDArray[np.floating],
        sent: NDArray[np.floating],
    ) -> None:
        """Fit the normalisation to chunks, (N, H, 16), states, (N, 20), and commands, (N, 16)."""
        self.actions.fit(commands, sent)
        self.backbone.fit(state)
        device = self.known.mean.device
        self.known.fit(self.actions.encode(
            torch.from_numpy(commands).to(device, torch.float32),
            torch.from_numpy(sent).to(device, torch.float32)))

    def context(self, observation: Observation) -> Tensor:
        """Return the context, (B, context_width), of B observations."""
        return self.backbone(observation)

    def velocity(self, context: Tensor, actions: Tensor, level: Tensor) -> Tensor:
        """Return velocities (B, K, D) at a_w (B, K, D) and w (B,)."""
        return self.known(lambda a, w: self.expert(context, a, w), actions, level)

    def weight(self, level: Tensor) -> Tensor:
        """Return how much squared errors of the velocity count, (..., K, D), at w (...).

        Every level counts alike, a coefficient by how far it moves the robot: half of a chunk's
        coefficients are tremor that no observation foretells.
        """
        motion = self.actions.sizes * self.known.variance.sqrt()
        return self.known.weight(level) * (motion / motion.mean())

    def forward(self, observation: Observation, actions: Tensor, level: Tensor) -> Tensor:
        """Return velocities at L noise levels of each observation: what training differentiates.

        Args:
            observation: B of them; the context is computed once.
            actions: (B, L, K, D) a_w.
            level: (B, L) w.

        Returns:
            (B, L, K, D).
        """
        levels = level.shape[1]
        context = self.context(observation).repeat_interleave(levels, dim=0)
        found = self.velocity(context, actions.flatten(0, 1), level.flatten())
        return found.unflatten(0, (-1, levels))

    def noise(
        self, count: int, *, scale: float = 1.0, generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return noise a_0, (count, K, D), of a standard deviation."""
        parameter = next(self.parameters())
        drawn = torch.randn(
            count, *self.config.shape, generator=generator, dtype=parameter.dtype,
            device=generator.device if generator is not None else parameter.device)
        return drawn.to(parameter.device) * scale


def sample(
    policy: FlowVla, context: Tensor, noise: Tensor, *, steps: int = flow.STEPS,
    shrink: float = flow.SHRINK,
) -> Tensor:
    """Return actions a_1, (B, K, D), of a policy in B contexts from noise (B, K, D)."""
    return flow.integrate(lambda a, w: policy.velocity(context, a, w), noise, steps,
                          shrink=shrink)
