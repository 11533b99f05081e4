# SPDX-License-Identifier: Apache-2.0
"""Quantile normalisation: x -> 2 (x - q01) / (q99 - q01) - 1, kept with the weights.

Quantiles rather than moments, since a joint that rests most of the time and moves now and then
would be blown up by its small standard deviation.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

LOW, HIGH = 0.01, 0.99


class Quantiles(nn.Module):
    """Normalises numbers of one shape; does nothing until it is fitted."""

    def __init__(self, shape: tuple[int, ...], *, floor: float) -> None:
        """Build it.

        Args:
            shape: Of one sample.
            floor: Smallest half range, in the unit of the samples: what hardly ever moves is not
                blown up to noise of unit size.
        """
        super().__init__()
        self.floor = floor
        self.centre: Tensor
        self.scale: Tensor
        self.register_buffer('centre', torch.zeros(shape))
        self.register_buffer('scale', torch.ones(shape))

    def fit(self, samples: NDArray[np.floating]) -> None:
        """Take the quantiles of samples, (N, *shape).

        Raises:
            ValueError: A sample is not finite.
        """
        if not np.all(np.isfinite(samples)):
            raise ValueError('samples for normalisation are not finite')
        low, high = np.quantile(samples, [LOW, HIGH], axis=0)
        self.centre.copy_(torch.from_numpy((low + high) / 2))
        self.scale.copy_(torch.from_numpy(np.maximum((high - low) / 2, self.floor)))

    def forward(self, values: Tensor) -> Tensor:
        """Return values, (..., *shape), on the scale of the networks."""
        return (values - self.centre) / self.scale

    def inverse(self, values: Tensor) -> Tensor:
        """Return values of the networks on their own scale."""
        return values * self.scale + self.centre
