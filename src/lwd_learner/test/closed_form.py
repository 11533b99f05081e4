# SPDX-License-Identifier: Apache-2.0
"""QAM in one dimension, where everything is known: a tabular policy, exact reference flows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lwd_learner import qam
from lwd_policy import flow

_LOW, _HIGH, _BINS = -6.0, 6.0, 240


@dataclass(frozen=True)
class Mixture:
    """pi_beta: a mixture of Gaussians with equal weights, and its exact flow."""

    means: tuple[float, ...]
    variance: float

    def velocity(self, x: Tensor, level: Tensor) -> Tensor:
        """Return E[a - eps | (1 - w) eps + w a = x], x (B, 1), w (B,)."""
        w = level[:, None]
        spread = (1.0 - w) ** 2 + w**2 * self.variance
        parts, logits = [], []
        for mean in self.means:
            apart = x - w * mean
            parts.append(mean + (w * self.variance - (1.0 - w)) / spread * apart)
            logits.append(-apart.square() / (2.0 * spread))
        weight = torch.softmax(torch.stack(logits), dim=0)
        return (weight * torch.stack(parts)).sum(0)


class Table:
    """f_theta = f_beta + a table over steps and bins of x."""

    def __init__(self, reference: Mixture, steps: int) -> None:
        self.reference, self.steps = reference, steps
        self.table = torch.zeros(steps, _BINS, dtype=torch.float64)

    def bins(self, x: Tensor) -> Tensor:
        return ((x - _LOW) / (_HIGH - _LOW) * _BINS).long().clamp(0, _BINS - 1)

    def velocity(self, x: Tensor, level: Tensor) -> Tensor:
        k = (level * self.steps).round().long()
        return self.reference.velocity(x, level) + self.table[k[:, None], self.bins(x)]


Adjoint = Callable[[qam.Rollout, float], qam.Rollout]


def fixed_point(
    reference: Mixture, value: qam.Value, temperature: float, steps: int, *,
    path: qam.Path = 'policy', change: Adjoint | None = None, particles: int = 10_000,
    rounds: int = 40, seed: int = 0, form: qam.Form = 'euler',
) -> Table:
    """Return the policy at which the loss of qam.py is stationary: gradient steps, averaged."""
    policy = Table(reference, steps)
    generator = torch.Generator().manual_seed(seed)
    average = torch.zeros_like(policy.table)
    kept = 0
    every = torch.arange(steps).expand(particles, -1)
    for i in range(rounds):
        noise = torch.randn(particles, 1, generator=generator, dtype=torch.float64)
        rolled = qam.rollout(policy.velocity, reference.velocity, value, noise, temperature,
                             path=path, steps=steps, form=form, generator=generator)
        if change is not None:
            rolled = change(rolled, temperature)
        points = qam.at_levels(rolled.points, every)
        bins = policy.bins(points[..., 0])
        table = policy.table.clone().requires_grad_()
        velocity = qam.at_levels(rolled.reference, every) + table[every, bins][..., None]
        loss = qam.loss(rolled, every, velocity).sum()
        gradient, = torch.autograd.grad(loss, table)
        mass = torch.zeros_like(table).index_put_(
            (every, bins), torch.ones_like(points[..., 0]), accumulate=True)
        # The loss is quadratic in the table: divided by its curvature, the gradient is a step
        # to the best answer to these particles.
        curvature = torch.tensor(
            [2.0 * pull**2 for pull in rolled.chain.pull], dtype=torch.float64)[:, None]
        step = 1.0 if i < 5 else 0.4
        policy.table -= step * gradient / (curvature * mass.clamp(min=1.0))
        if i >= rounds // 2:
            average += policy.table
            kept += 1
    policy.table = average / kept
    return policy


def draw(policy: Table, count: int = 200_000, seed: int = 1) -> Tensor:
    """Return actions, (count,), of a policy, by the sampler that robots use."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, 1, generator=generator, dtype=torch.float64)
    return flow.integrate(policy.velocity, noise, policy.steps)[:, 0]
