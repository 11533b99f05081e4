# SPDX-License-Identifier: Apache-2.0
"""QAM on vectors, built from this project's parts, in the setting of the public reference.

One update as in the reference (ColinQiyangLi/qam, agents/qam.py; nothing of it is copied): the
reference flow by behaviour cloning, the actor by adjoint matching at all noise levels, an ensemble
of Q on the actions that the actor would take next, and the moving averages of critic and
reference. The networks are the reference's, too: MLPs with the tanh form of GELU, the ensemble's
with layer norm.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from lwd_learner import qam
from lwd_learner.optimise import Optimiser, OptimiserConfig, move_towards
from lwd_policy import flow
from lwd_policy.linear import Linear, linear

Parts = tuple[Tensor, ...]


@dataclass(frozen=True)
class Sizes:
    """Of networks and data."""

    observation: int = 32
    action: int = 25
    """Of a chunk: 5 actions of 5 numbers."""
    hidden: tuple[int, ...] = (512, 512, 512, 512)
    ensemble: int = 10
    """Critics."""
    batch: int = 256
    steps: int = 10
    """Of the flow."""
    chunk: int = 5


@dataclass(frozen=True)
class Batch:
    """Windows of vectors."""

    observation: Tensor
    """(B, S)."""
    action: Tensor
    """(B, A) chunks, -1 .. 1."""
    reward: Tensor
    """(B,) of the window."""
    mask: Tensor
    """(B,) 0 where the episode ended."""
    following: Tensor
    """(B, S) observations after the chunk."""


def _mlp(first: int, hidden: tuple[int, ...], last: int) -> nn.Sequential:
    sizes = (first, *hidden)
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [Linear(before, after), nn.GELU(approximate='tanh')]
    return nn.Sequential(*layers, Linear(sizes[-1], last))


class Field(nn.Module):
    """A flow's velocity."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.net = _mlp(sizes.observation + sizes.action + 1, sizes.hidden, sizes.action)

    def forward(self, observation: Tensor, action: Tensor, level: Tensor) -> Tensor:
        """Return velocities (..., A) at (..., S), (..., A) and (...,)."""
        return self.net(torch.cat([observation, action, level[..., None]], dim=-1))


class Ensemble(nn.Module):
    """E critics, MLPs with layer norm behind each activation; their weights are kept together."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        widths = (sizes.observation + sizes.action, *sizes.hidden, 1)
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(sizes.ensemble, before, after) * before**-0.5)
            for before, after in itertools.pairwise(widths))
        self.biases = nn.ParameterList(
            nn.Parameter(torch.zeros(sizes.ensemble, 1, after)) for after in widths[1:])
        self.scales = nn.ParameterList(
            nn.Parameter(torch.ones(sizes.ensemble, 1, width)) for width in sizes.hidden)
        self.shifts = nn.ParameterList(
            nn.Parameter(torch.zeros(sizes.ensemble, 1, width)) for width in sizes.hidden)

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        """Return (E, B)."""
        seen = torch.cat([observation, action], dim=-1)
        weights, biases, scales, shifts = (
            zip(*(one.unbind(0) for one in each))
            for each in (self.weights, self.biases, self.scales, self.shifts))
        return torch.stack([
            self._one(seen, *each) for each in zip(weights, biases, scales, shifts)])

    @staticmethod
    def _one(seen: Tensor, weights: Parts, biases: Parts, scales: Parts, shifts: Parts) -> Tensor:
        hidden = seen
        for layer, (weight, bias) in enumerate(zip(weights, biases)):
            hidden = linear(hidden, weight.t(), bias[0])
            if layer < len(scales):
                hidden = nn.functional.gelu(hidden, approximate='tanh')
                hidden = nn.functional.layer_norm(
                    hidden, hidden.shape[-1:], scales[layer][0], shifts[layer][0], eps=1e-6)
        return hidden[:, 0]


@dataclass
class VectorQam:
    """The networks and their update."""

    sizes: Sizes
    temperature: float = 1.0 / 0.3
    """lambda; the reference's inverse is 0.3."""
    discount: float = 0.99
    rho: float = 0.5
    """Standard deviations of the ensemble that a target is below its mean."""
    ema: float = 0.005
    compiled: bool = False
    """Whether networks are compiled, as `engine.compile` does it."""
    critic: Ensemble = field(init=False)
    actor: Field = field(init=False)
    reference: Field = field(init=False)

    def __post_init__(self) -> None:
        self.critic, self.actor = Ensemble(self.sizes), Field(self.sizes)
        self.reference = Field(self.sizes)
        self.target = copy.deepcopy(self.critic).requires_grad_(False)
        self.anchor = copy.deepcopy(self.reference).requires_grad_(False)
        # Together, as the reference clips and steps all of them: one Adam over all networks.
        self.optimiser = Optimiser(
            nn.ModuleList([self.critic, self.actor, self.reference]),
            OptimiserConfig(rate=3e-4, warmup=1, clip=1.0))
        # What is called; state and parameters stay with the modules themselves.
        self._q, self._q_ahead, self._f, self._f_cloned, self._f_anchor = (
            torch.compile(one) if self.compiled else one
            for one in (self.critic, self.target, self.actor, self.reference, self.anchor))

    def load(self, weights: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take over weights of critic, target, actor, reference and anchor."""
        for name, state in weights.items():
            getattr(self, name).load_state_dict(state)

    def rollout(self, observation: Tensor, noise: Tensor, diffusion: Tensor) -> qam.Rollout:
        """Return the actor's paths and their adjoints from (B, A) and (N, B, A) noise."""
        return self._rollout(
            lambda x, w: self._f(observation, x, w), observation, noise, diffusion)

    def _rollout(
        self, policy: flow.Velocity, observation: Tensor, noise: Tensor, diffusion: Tensor,
    ) -> qam.Rollout:
        return qam.rollout(
            policy, lambda x, w: self._f_anchor(observation, x, w),
            lambda x: self._q_ahead(observation, x.clamp(-1.0, 1.0)).mean(0),
            noise, self.temperature, steps=self.sizes.steps, form='euler', diffusion=diffusion)

    def update(self, batch: Batch) -> float:
        """Make one update of everything; returns the loss."""
        loss = self._critic_loss(batch) + self._cloning_loss(batch) + self._actor_loss(batch)
        self.optimiser.step(loss, 'the benchmark')
        move_towards(self.target, self.critic, self.ema)
        move_towards(self.anchor, self.reference, self.ema)
        return float(loss.detach())

    def _critic_loss(self, batch: Batch) -> Tensor:
        with torch.no_grad():
            chosen = flow.integrate(
                lambda x, w: self._f(batch.following, x, w),
                torch.randn_like(batch.action), self.sizes.steps).clamp(-1.0, 1.0)
            ahead = self._q_ahead(batch.following, chosen)
            bound = ahead.mean(0) - self.rho * ahead.std(0, unbiased=False)
            target = batch.reward + self.discount**self.sizes.chunk * batch.mask * bound
        return (self._q(batch.observation, batch.action) - target).square().mean()

    def _cloning_loss(self, batch: Batch) -> Tensor:
        noise, level = torch.randn_like(batch.action), torch.rand(len(batch.action))
        between = torch.lerp(noise, batch.action, level[:, None])
        said = self._f_cloned(batch.observation, between, level)
        return (said - (batch.action - noise)).square().mean()

    def _actor_loss(self, batch: Batch) -> Tensor:
        count, steps = len(batch.action), self.sizes.steps
        seen, said = batch.observation, []

        def spoken(x: Tensor, w: Tensor) -> Tensor:
            # The loss asks for the same velocities: their graph is kept instead of made twice.
            with torch.enable_grad():
                said.append(self._f(seen, x, w))
            return said[-1].detach()

        rolled = self._rollout(spoken, seen, torch.randn_like(batch.action),
                               torch.randn(steps, *batch.action.shape))
        last = torch.full((count,), (steps - 1) / steps)
        said.append(self._f(seen, rolled.points[-1], last))
        k = torch.arange(steps).expand(count, steps)
        # The reference sums over levels, this project's loss counts each by its step's length.
        return steps * qam.loss(rolled, k, torch.stack(said, dim=1)).mean()


def random_batch(sizes: Sizes, seed: int = 0) -> Batch:
    """Return a batch of random numbers."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return Batch(
        normal(sizes.batch, sizes.observation), normal(sizes.batch, sizes.action).clamp(-1.0, 1.0),
        normal(sizes.batch), torch.ones(sizes.batch), normal(sizes.batch, sizes.observation))
