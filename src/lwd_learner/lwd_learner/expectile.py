# SPDX-License-Identifier: Apache-2.0
"""Expectile regression of IQL (Kostrikov et al. 2022): the ablation of DIVL.

V(s) minimises |tau - 1(u < 0)| u^2 with u = Qbar(s, a) - V(s), and is its own bootstrap.
"""

from __future__ import annotations

import torch
from torch import Tensor


def loss(values: Tensor, targets: Tensor, tau: float) -> Tensor:
    """Return each sample's loss, (B,), of V's values, (B,), to targets Qbar(s, a), (B,)."""
    error = targets - values
    weight = torch.where(error < 0.0, 1.0 - tau, tau)
    return weight * error.square()
