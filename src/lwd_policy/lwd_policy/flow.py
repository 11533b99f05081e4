# SPDX-License-Identifier: Apache-2.0
"""Flow matching: noise at w = 0, action at w = 1, straight paths between (Lipman et al. 2023)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

STEPS = 10
"""Of integration: the paper's. Fixed across methods, since it alone moves results."""
SHRINK = 1.0
"""Each step of integration is so many times as long as the one before. A policy that knows well
what to do leaves a coefficient a spread s of a few hundredths of its range; the flow then turns
at 1 - w ~ s, which ten even steps jump over: of a variance of .02^2 they leave 3 %, steps that
shrink by .75 leave 40 %. That is nearer to what was learned, and not always the better policy."""

Velocity = Callable[[Tensor, Tensor], Tensor]
"""(a_w (B, K, D), w (B,)) -> velocity (B, K, D), the context being fixed."""


def times(steps: int = STEPS, shrink: float = SHRINK) -> tuple[float, ...]:
    """Return w_0 = 0 .. w_N = 1: N steps, each `shrink` times as long as the one before."""
    if shrink == 1.0:
        return tuple(k / steps for k in range(steps + 1))
    whole = 1.0 - shrink**steps
    return (*((1.0 - shrink**k) / whole for k in range(steps)), 1.0)


def integrate(
    velocity: Velocity, noise: Tensor, steps: int = STEPS, *, shrink: float = SHRINK,
    guide: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Return actions a_1 by Euler's method: a_{k+1} = a_k + (w_{k+1} - w_k) f(a_k, w_k).

    Args:
        velocity: Of the flow.
        noise: (B, K, D) a_0.
        steps: How many.
        shrink: See `times`.
        guide: Changes the end, (B, K, D), that each step's velocity leads to; the step then goes
            there. None leaves the flow as it is.
    """
    actions = noise
    at = times(steps, shrink)
    for now, then in pairwise(at):
        level = torch.full((len(noise),), now, device=noise.device, dtype=noise.dtype)
        change = velocity(actions, level)
        if guide is not None:
            left = 1.0 - now
            change = (guide(actions + left * change) - actions) / left
        actions = actions + (then - now) * change
    return actions


def matching_loss(
    velocity: Velocity, actions: Tensor, noise: Tensor, level: Tensor,
) -> Tensor:
    """Return each sample's loss, (B,): mean of (f(a_w, w) - (a_1 - a_0))^2.

    Args:
        velocity: Of the flow.
        actions: (B, K, D) a_1, of the data.
        noise: (B, K, D) a_0, standard normal.
        level: (B,) w in [0, 1].
    """
    part = level[:, None, None]
    between = (1.0 - part) * noise + part * actions
    return (velocity(between, level) - (actions - noise)).square().mean(dim=(1, 2))
