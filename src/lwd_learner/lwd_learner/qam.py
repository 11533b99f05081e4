# SPDX-License-Identifier: Apache-2.0
"""QAM: Q-learning with adjoint matching, for a flow policy (arXiv 2601.14234).

The wanted policy is pi*(a|s) proportional to pi_beta(a|s) exp(Q(s, a) / lambda). With N steps from
t_0 = 0 (noise) to t_N = 1 (action) the *current* policy is rolled out by a memoryless chain,

    x_{k+1} = A_k x_k + C_k f_theta(x_k, t_k) + sqrt(v_k) eps,

its last step by the reference's ODE, x_N = x_{N-1} + (1 - t_{N-1}) f_beta(x_{N-1}, t_{N-1}).
The lean adjoint goes back through the *reference* only, one VJP a step, from
g_N = -grad Q(x_N) / lambda,

    g_k = A_k g_{k+1} + C_k J_beta^T g_{k+1},

and f_theta regresses on it,  sum_k || C_k (f_theta - f_beta) / sqrt(v_k) + sqrt(v_k) g ||^2.
Rolling out the reference instead, or leaving the VJP out, converges to something else (the tests
show both); `path` keeps the former as an ablation.

Two chains are there (`chains.py`). *Euler* is the SDE in steps h_k, as the method is published:
A = 1 - h / t_{k+1}, C = 2 h, v = 2 h (1 - t_k + h) / t_{k+1}. *Ancestral* draws x_{k+1} from what
is known of it given x_k and the action E[a | x_k] = x_k + (1 - t_k) f. Where a reference knows
well what to do, with a spread s in a coefficient, Euler's adjoint turns over at each step until
h < s: tilted by x / s, N(0, s^2) then moves 7 times too far at s = .05 and ten even steps, 52
times at .02. The ancestral chain tilts the sampler's own distribution, for every s and N.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from lwd_learner.chains import Chain, Form, make_chain
from lwd_policy.flow import SHRINK, STEPS, Velocity

Path = Literal['policy', 'reference']
Value = Callable[[Tensor], Tensor]
"""Chunks (B, ...) -> Q, (B,)."""


@dataclass(frozen=True)
class Rollout:
    """Paths of the flow and the adjoints along them, for k = 0 .. N - 1."""

    chain: Chain
    """Whose paths these are."""
    points: Tensor
    """(N, B, ...) x_k."""
    reference: Tensor
    """(N, B, ...) f_beta(x_k, t_k)."""
    adjoints: Tensor
    """(N, B, ...) what f_theta(x_k, t_k) is to answer: g_k of Euler, g_{k+1} of the ancestral."""
    final: Tensor
    """(B, ...) x_N, the actions."""
    value: Tensor
    """(B,) Q(x_N)."""
    gradient: Tensor
    """(B, ...) grad Q(x_N), not yet over lambda."""
    kl: Tensor
    """(B,) KL of the policy's path from the reference's, nats: half the sum over k < N - 1 of
    || C_k (f_theta - f_beta) ||^2 / v_k."""

    @property
    def steps(self) -> int:
        """N."""
        return len(self.points)

    @property
    def asked(self) -> Tensor:
        """(B,) KL, nats, that the adjoints ask for: what `kl` is once the regression is met.

        Half the sum over k < N - 1 of v_k || g ||^2; it goes with 1 / lambda^2.
        """
        squares = self.adjoints[:-1].square().flatten(2).sum(2)
        return 0.5 * (_column(self.chain.push, squares)[:-1, None].square() * squares).sum(0)

    def tempered(self, temperature: float, largest: float = math.inf) -> Rollout:
        """Return it for another temperature, no path asking for more than a KL, nats.

        Args:
            temperature: lambda, in units of the one that this was rolled out with.
            largest: Of a single path. Where the critic is steep beyond all measure a path's
                adjoint is shortened to it.
        """
        scale = torch.full_like(self.value, 1.0 / temperature)
        if math.isfinite(largest):
            scale = torch.minimum(scale, (largest / self.asked.clamp(min=1e-12)).sqrt())
        shaped = scale.reshape(1, -1, *[1] * (self.adjoints.dim() - 2))
        return replace(self, adjoints=self.adjoints * shaped)


def rollout(
    policy: Velocity, reference: Velocity, value: Value, noise: Tensor, temperature: float, *,
    path: Path = 'policy', steps: int = STEPS, shrink: float = SHRINK, form: Form = 'ancestral',
    generator: torch.Generator | None = None, diffusion: Tensor | None = None,
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
        shrink: Each step is so many times as long as the one before; see `flow.times`.
        form: Of the chain.
        generator: For the chain's noise.
        diffusion: (N, B, ...) standard normal noise of the chain, instead of a generator.
    """
    chain = make_chain(form, steps, shrink)
    points, references = [], []
    kl = noise.new_zeros(len(noise))
    x = noise
    with torch.no_grad():
        for k in range(steps):
            level = torch.full((len(x),), chain.times[k], device=x.device, dtype=x.dtype)
            ahead = reference(x, level)
            points.append(x)
            references.append(ahead)
            if k == steps - 1:
                x = x + (1.0 - chain.times[k]) * ahead
                break
            drift = policy(x, level) if path == 'policy' else ahead
            apart = (chain.pull[k] * (drift - ahead)).square().flatten(1).sum(1)
            kl = kl + 0.5 * apart
            if diffusion is not None:
                eps = diffusion[k]
            else:
                eps = torch.randn(x.shape, generator=generator, dtype=x.dtype,
                                  device=x.device if generator is None else generator.device
                                  ).to(x.device)
            x = chain.keep[k] * x + chain.gain[k] * drift + chain.spread[k] * eps
    q, gradient = _value_gradient(value, x)
    adjoints = adjoint(reference, points, -gradient / temperature, chain)
    return Rollout(chain, torch.stack(points), torch.stack(references), adjoints, x, q, gradient,
                   kl)


def _value_gradient(value: Value, actions: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        leaf = actions.detach().requires_grad_()
        q = value(leaf)
        gradient, = torch.autograd.grad(q.sum(), leaf)
    return q.detach(), gradient


def adjoint(reference: Velocity, points: list[Tensor], last: Tensor, chain: Chain) -> Tensor:
    """Return what the velocities are to answer, for k = 0 .. N - 1, (N, B, ...), from g_N.

    Args:
        reference: f_beta with its context.
        points: x_k for k = 0 .. N - 1.
        last: (B, ...) g_N.
        chain: Whose paths these are.
    """
    g = last
    found = []
    for k in reversed(range(len(points))):
        level = torch.full((len(g),), chain.seen_at[k], device=g.device, dtype=g.dtype)
        with torch.enable_grad():
            leaf = points[k].detach().requires_grad_()
            pulled, = torch.autograd.grad(reference(leaf, level), leaf, grad_outputs=g)
        before = chain.keep[k] * g + chain.gain[k] * pulled
        found.append(g if chain.answers_next else before)
        g = before
    return torch.stack(found[::-1])


def loss(rolled: Rollout, k: Tensor, velocity: Tensor) -> Tensor:
    """Return each sample's loss, (B,): N times the mean over its levels of the squared error.

    Args:
        rolled: Paths and adjoints.
        k: (B, L) which of the N levels each sample is regressed at.
        velocity: (B, L, ...) f_theta(x_k, t_k) there, differentiable.
    """
    reference, adjoints = at_levels(rolled.reference, k), at_levels(rolled.adjoints, k)
    shape = (*k.shape, *[1] * (velocity.dim() - 2))
    pull = _column(rolled.chain.pull, velocity)[k].reshape(shape)
    push = _column(rolled.chain.push, velocity)[k].reshape(shape)
    error = pull * (velocity - reference) + push * adjoints
    return rolled.steps * error.square().flatten(2).sum(2).mean(1)


def at_levels(values: Tensor, k: Tensor) -> Tensor:
    """Return values, (N, B, ...), of each sample's levels k, (B, L), as (B, L, ...)."""
    rows = torch.arange(k.shape[0], device=k.device)[:, None]
    return values[k, rows]


def _column(values: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(values, device=like.device, dtype=like.dtype)
