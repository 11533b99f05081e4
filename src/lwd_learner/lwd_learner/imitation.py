# SPDX-License-Identifier: Apache-2.0
"""Imitation: flow matching on the commands that were executed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lwd_learner.engine import Engine
from lwd_policy.observation import Observation
from lwd_policy.policy import FlowPolicy

OUTLIER = 1.0
"""A sample's loss counts in full up to here; what is further off pulls no harder. 1 is about what
a policy without any idea has; corrections from states where it never was reached thousands."""
LEVELS = 1
"""Noise levels of each sample in one update; more share a context that is dear to compute."""


@dataclass(frozen=True)
class Sample:
    """A replay batch on the device."""

    observation: Observation
    chunk: Tensor
    """(B, H, 16) executed commands."""


def matching(
    policy: FlowPolicy, trained: Callable[..., Any], sample: Sample, engine: Engine,
    generator: torch.Generator,
) -> Tensor:
    """Return each sample's flow-matching loss, (B,): weighted mean over LEVELS noise levels.

    Args:
        policy: Whose action space is used.
        trained: The same policy as the engine wrapped it; its forward pass is differentiated.
        sample: Observations and chunks.
        engine: Draws the noise.
        generator: Of this update.
    """
    actions = policy.actions.encode(sample.chunk, sample.observation.sent)
    count = len(actions)
    noise = engine.normal((count, LEVELS, *actions.shape[1:]), generator)
    # Stratified: each sample sees the whole range of w.
    level = (engine.uniform((count, LEVELS), generator)
             + torch.arange(LEVELS, device=engine.device)) / LEVELS
    part = level[..., None, None]
    between = (1.0 - part) * noise + part * actions[:, None]
    with engine.autocast():
        velocity = trained(sample.observation, between, level)
    error = (velocity.float() - (actions[:, None] - noise)).square()
    loss = (policy.weight(level) * error).mean(dim=(1, 2, 3))
    return loss * (OUTLIER / loss.detach()).clamp(max=1.0)
