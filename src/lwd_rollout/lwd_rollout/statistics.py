# SPDX-License-Identifier: Apache-2.0
"""Intervals for what is measured over episodes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_Z = 1.959963984540054


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a rate (Wilson 1927): right at 0 and 1 and for few trials too.

    centre = (p + z^2 / 2n) / (1 + z^2 / n);
    half = z sqrt(p (1 - p) / n + z^2 / 4n^2) / (1 + z^2 / n).
    """
    if trials == 0:
        return 0.0, 1.0
    p, z2 = successes / trials, _Z**2
    scale = 1.0 + z2 / trials
    centre = (p + z2 / (2 * trials)) / scale
    half = _Z * math.sqrt(p * (1.0 - p) / trials + z2 / (4 * trials**2)) / scale
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap_mean(values: Sequence[float], *, seed: int = 0, draws: int = 4000) -> tuple[
        float, float]:
    """Return the 95 % interval of a mean by the percentile bootstrap."""
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        return 0.0, 1.0
    rng = np.random.default_rng(seed)
    means = rng.choice(array, size=(draws, array.size)).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
