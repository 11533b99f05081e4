# SPDX-License-Identifier: Apache-2.0
"""Flow matching: noise at w = 0, action at w = 1, straight paths between (Lipman et al. 2023)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

STEPS = 10
"""Of integration: the paper's. Fixed across methods, since it alone moves results."""

Velocity = Callable[[Tensor, Tensor], Tensor]
"""(a_w (B, K, D), w (B,)) -> velocity (B, K, D), the context being fixed."""


def integrate(
    velocity: Velocity, noise: Tensor, steps: int = STEPS, *,
    guide: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Return actions a_1 by Euler's method: a_{w+h} = a_w + h f(a_w, w), h = 1 / steps.

    Args:
        velocity: Of the flow.
        noise: (B, K, D) a_0.
        steps: How many.
        guide: Changes the end, (B, K, D), that each step's velocity leads to; the step then goes
            there. None leaves the flow as it is.
    """
    actions = noise
    for k in range(steps):
        level = torch.full((len(noise),), k / steps, device=noise.device, dtype=noise.dtype)
        change = velocity(actions, level)
        if guide is not None:
            left = 1.0 - k / steps
            change = (guide(actions + left * change) - actions) / left
        actions = actions + change / steps
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
