# SPDX-License-Identifier: Apache-2.0
"""Chunks that go on from one that is still being played: real-time chunking.

While a chunk is inferred the robot goes on with the last one, so the first steps of the new one
are history before it is there. Black et al. (2025, arXiv 2506.07339) inpaint them: at each step of
the flow the predicted end is drawn to what is committed. They do it with a gradient through the
network; here a chunk is linear in what the network makes, so that the nearest end that keeps the
commitment has a closed form and costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lwd_policy.actions import ActionSpace

Array = NDArray[np.float64]

FIXED, DRAWN = 0.05, 0.2
"""How closely a chunk keeps to committed steps, and to those that merely were planned: standard
deviations, rad, beside the unit one of normalised coefficients. Not closer: a chunk that must go
through every committed step to the millimetre extrapolates what is rough in them, and over some
chunks that grows without bounds (seen with 0.002 and 0.1, and with 0.03 and 0.05). The committed
steps are played as they were anyway, and what is left of a step at the seam is faded out."""


@dataclass(frozen=True)
class Committed:
    """What is left of the chunk that is being played, seen from the new one's first step."""

    commands: Array
    """(R, 16) the commands of steps 0 .. R - 1."""
    fixed: int
    """So many of them will have been executed, or will be, whatever the new chunk says."""

    def weights(self, horizon: int) -> Array:
        """Return how much each step of a new chunk is drawn to the old one, (horizon,).

        1 where fixed, then falling as c (e^c - 1) / (e - 1), c = (R - i) / (R - fixed + 1) for
        step i (Black et al. 2025, equation 5), 0 where the old chunk ends.
        """
        left = min(len(self.commands), horizon)
        fixed = min(self.fixed, left)
        fall = (left - np.arange(horizon)) / (left - fixed + 1)
        weights = fall * np.expm1(fall) / np.expm1(1.0)
        weights[:fixed], weights[left:] = 1.0, 0.0
        result: Array = weights
        return result


class Continuation:
    """Draws predicted ends of the flow to committed commands.

    Of all a the one that minimises |a - a_1|^2 + sum_i p_i (y_i - decode(a)_i)^2, for each joint,
    with the committed commands y and their precisions p: a Gaussian's posterior mean.
    """

    def __init__(self, space: ActionSpace, sent: Tensor, committed: Committed) -> None:
        """Prepare for one observation.

        Args:
            space: Of the policy's actions.
            sent: (1, 16) the command before the new chunk.
            committed: What it is to go on from.
        """
        self._space, self._sent = space, sent
        basis, scale = space.basis.double(), space.quantiles.scale.double()
        horizon = basis.shape[1]
        left = min(len(committed.commands), horizon)
        fixed = min(committed.fixed, left)
        wanted = np.zeros((horizon, scale.shape[1]))
        wanted[:left] = committed.commands[:left]
        precision = committed.weights(horizon) / DRAWN ** 2
        precision[:fixed] = 1.0 / FIXED ** 2
        self._wanted = torch.from_numpy(wanted)
        weight = torch.from_numpy(precision)
        # (D, K, H): how the commands of a joint depend on its coefficients.
        effect = scale.T[:, :, None] * basis[None]
        weighted = effect * weight
        system = torch.eye(len(basis), dtype=torch.float64) + weighted @ effect.transpose(1, 2)
        self._gain = torch.linalg.solve(system, weighted)

    def __call__(self, ends: Tensor) -> Tensor:
        """Return predicted ends, (B, K, D), drawn to what is committed."""
        commands = self._space.decode(ends, self._sent).double()
        change = torch.einsum('dkh,bhd->bkd', self._gain, self._wanted - commands)
        return ends + change.to(ends.dtype)
