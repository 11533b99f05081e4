# SPDX-License-Identifier: Apache-2.0
"""QAM: Q-learning with adjoint matching, for a flow policy (arXiv 2601.14234).

The wanted policy is pi*(a|s) proportional to pi_beta(a|s) exp(Q(s, a) / lambda). With N steps,
h = 1/N, t_k = k h, noise at t = 0, action at t = 1 and sigma_k^2 = 2 (1 - t_k + h) / (t_k + h):

- the *current* policy is rolled out by the memoryless SDE
      x_{k+1} = x_k + h [2 f_theta(x_k, t_k) - x_k / (t_k + h)] + sqrt(h) sigma_k eps,
  its last step by the reference's ODE  x_N = x_{N-1} + h f_beta(x_{N-1}, t_{N-1});
- the lean adjoint goes back through the *reference* only, one VJP a step:
      g_N = -grad Q(x_N) / lambda,
      g_k = g_{k+1} + h [2 J_beta(x_k, t_k + h)^T g_{k+1} - g_{k+1} / (t_k + h)];
- f_theta regresses on it:  sum_k || 2 (f_theta - f_beta) / sigma_k + sigma_k g_k ||^2.

Rolling out the reference instead, or leaving the VJP out, converges to something else (the tests
show both); `path` keeps the former as a named ablation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lwd_policy.flow import STEPS, Velocity

Path = Literal['policy', 'reference']
Value = Callable[[Tensor], Tensor]
"""Chunks (B, ...) -> Q, (B,)."""


@dataclass(frozen=True)
class Rollout:
    """Paths of the flow and the adjoints along them, for k = 0 .. N - 1."""

    points: Tensor
    """(N, B, ...) x_k."""
    reference: Tensor
    """(N, B, ...) f_beta(x_k, t_k)."""
    adjoints: Tensor
    """(N, B, ...) g_k."""
    final: Tensor
    """(B, ...) x_N, the actions."""
    value: Tensor
    """(B,) Q(x_N)."""
    gradient: Tensor
    """(B, ...) grad Q(x_N), not yet over lambda."""
    kl: Tensor
    """(B,) KL of the policy's path from the reference's, nats: half the sum over k of
    h || 2 (f_theta - f_beta) / sigma_k ||^2."""

    @property
    def steps(self) -> int:
        """N."""
        return len(self.points)


def sigma(k: int, steps: int) -> float:
    """Return sigma_k of the memoryless SDE."""
    h = 1.0 / steps
    t = k * h
    return (2.0 * (1.0 - t + h) / (t + h)) ** 0.5


def rollout(
    policy: Velocity, reference: Velocity, value: Value, noise: Tensor, temperature: float, *,
    path: Path = 'policy', steps: int = STEPS, generator: torch.Generator | None = None,
    diffusion: Tensor | None = None,
) -> Rollout:
    """Roll out a flow and carry the adjoint back.

    Args:
        policy: f_theta with its context.
        reference: f_beta with its context.
        value: Q of actions.
        noise: (B, ...) x_0.
        temperature: lambda.
        path: Whose flow is rolled out; 'reference' is the ablation.
        steps: N.
        generator: For the SDE's noise.
        diffusion: (N, B, ...) standard normal noise of the SDE, instead of a generator.
    """
    h = 1.0 / steps
    points, references = [], []
    kl = noise.new_zeros(len(noise))
    x = noise
    with torch.no_grad():
        for k in range(steps):
            t = k * h
            level = torch.full((len(x),), t, device=x.device, dtype=x.dtype)
            ahead = reference(x, level)
            points.append(x)
            references.append(ahead)
            if k == steps - 1:
                x = x + h * ahead
                break
            drift = policy(x, level) if path == 'policy' else ahead
            apart = (2.0 * (drift - ahead) / sigma(k, steps)).square().flatten(1).sum(1)
            kl = kl + 0.5 * h * apart
            if diffusion is not None:
                eps = diffusion[k]
            else:
                eps = torch.randn(x.shape, generator=generator, dtype=x.dtype,
                                  device=x.device if generator is None else generator.device
                                  ).to(x.device)
            x = x + h * (2.0 * drift - x / (t + h)) + h**0.5 * sigma(k, steps) * eps
    q, gradient = _value_gradient(value, x)
    adjoints = adjoint(reference, points, -gradient / temperature)
    return Rollout(torch.stack(points), torch.stack(references), adjoints, x, q, gradient, kl)


def _value_gradient(value: Value, actions: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        leaf = actions.detach().requires_grad_()
        q = value(leaf)
        gradient, = torch.autograd.grad(q.sum(), leaf)
    return q.detach(), gradient


def adjoint(reference: Velocity, points: list[Tensor], last: Tensor) -> Tensor:
    """Return g_k for k = 0 .. N - 1, (N, B, ...), from g_N.

    Args:
        reference: f_beta with its context.
        points: x_k for k = 0 .. N - 1.
        last: (B, ...) g_N.
    """
    steps = len(points)
    h = 1.0 / steps
    g = last
    found = []
    for k in reversed(range(steps)):
        t = k * h
        level = torch.full((len(g),), t + h, device=g.device, dtype=g.dtype)
        with torch.enable_grad():
            leaf = points[k].detach().requires_grad_()
            pulled, = torch.autograd.grad(reference(leaf, level), leaf, grad_outputs=g)
        g = g + h * (2.0 * pulled - g / (t + h))
        found.append(g)
    return torch.stack(found[::-1])


def loss(rolled: Rollout, k: Tensor, velocity: Tensor) -> Tensor:
    """Return each sample's loss, (B,): the mean over its levels of the regression's square.

    Args:
        rolled: Paths and adjoints.
        k: (B, L) which of the N levels each sample is regressed at.
        velocity: (B, L, ...) f_theta(x_k, t_k) there, differentiable.
    """
    reference, adjoints = at_levels(rolled.reference, k), at_levels(rolled.adjoints, k)
    spread = torch.tensor(
        [sigma(i, rolled.steps) for i in range(rolled.steps)], device=velocity.device,
        dtype=velocity.dtype)[k]
    spread = spread.reshape(*spread.shape, *[1] * (velocity.dim() - 2))
    error = 2.0 * (velocity - reference) / spread + spread * adjoints
    return error.square().flatten(2).sum(2).mean(1)


def at_levels(values: Tensor, k: Tensor) -> Tensor:
    """Return values, (N, B, ...), of each sample's levels k, (B, L), as (B, L, ...)."""
    rows = torch.arange(k.shape[0], device=k.device)[:, None]
    return values[k, rows]

