# SPDX-License-Identifier: Apache-2.0
"""Intervals for what is measured over episodes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

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


def crossed_bootstrap(
    values: NDArray[np.float64], *, seed: int = 0, draws: int = 2000,
) -> tuple[float, float]:
    """Return the 95 % interval of the mean of all, resampling training seeds and episodes.

    Seeds and scenes are crossed: a draw takes seeds with replacement, the same for all tasks (a
    policy does all of them), and of each task its scenes with replacement, the same for all seeds
    (each policy was tried on them).

    Args:
        values: (T, S, E) of tasks, training seeds and episodes.
        seed: Of the draws.
        draws: How many.
    """
    if values.size == 0:
        return float('nan'), float('nan')
    tasks, seeds, episodes = values.shape
    rng = np.random.default_rng(seed)
    rows = _counts(rng.integers(seeds, size=(draws, seeds)), seeds)
    columns = _counts(rng.integers(episodes, size=(draws, tasks * episodes)).reshape(
        draws * tasks, episodes), episodes).reshape(draws, tasks * episodes)
    drawn = rows @ values.transpose(1, 0, 2).reshape(seeds, tasks * episodes)
    means = (drawn * columns).sum(axis=1) / values.size
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def _counts(drawn: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    """Return how often each of `size` numbers was drawn in each row of (D, N), as (D, size)."""
    offset = np.arange(len(drawn))[:, None] * size
    found = np.bincount((drawn + offset).ravel(), minlength=len(drawn) * size)
    return found.reshape(len(drawn), size).astype(np.float64)


def restricted_mean(
    times: Sequence[float], reached: Sequence[bool], limit: float,
) -> float:
    """Return the mean time until success, up to a limit, with what did not come to it censored.

    The area under Kaplan and Meier's (1958) curve up to the limit: an episode that ended without
    success counts as one that would have gone on, as long as it was watched.

    Args:
        times: When each episode was over, s.
        reached: Whether with success.
        limit: Until when, s.
    """
    order = np.argsort(np.asarray(times, dtype=np.float64), kind='stable')
    at = np.asarray(times, dtype=np.float64)[order]
    event = np.asarray(reached, dtype=bool)[order]
    area, last, survival = 0.0, 0.0, 1.0
    for moment in np.unique(at[event & (at <= limit)]):
        area += survival * (moment - last)
        at_risk = int((at >= moment).sum())
        survival *= 1.0 - int((event & (at == moment)).sum()) / at_risk
        last = float(moment)
    return float(area + survival * (limit - last))
