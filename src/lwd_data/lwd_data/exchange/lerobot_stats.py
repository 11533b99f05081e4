# SPDX-License-Identifier: Apache-2.0
"""Statistics of features as LeRobot has them: of each episode, and of all together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

QUANTILES = (0.01, 0.10, 0.50, 0.90, 0.99)
_KEYS = tuple(f'q{round(100 * q):02d}' for q in QUANTILES)
_PIXEL = 255.0
_MOST_IMAGES = 100
"""Of an episode that statistics are taken of; LeRobot takes about as many."""

Stats = dict[str, NDArray[np.float64]]


def of_numbers(values: NDArray[Any]) -> Stats:
    """Return the statistics of a feature, (T,) or (T, n), over an episode; (1,) or (n,) each."""
    table = np.asarray(values, np.float64).reshape(len(values), -1)
    quantiles = np.quantile(table, QUANTILES, axis=0)
    return {'min': table.min(0), 'max': table.max(0), 'mean': table.mean(0), 'std': table.std(0),
            'count': np.array([len(table)]), **dict(zip(_KEYS, quantiles))}


def of_images(images: Sequence[NDArray[np.uint8]]) -> Stats:
    """Return the statistics of RGB images, (h, w, 3), by channel in 0 .. 1; (3, 1, 1) each."""
    pixels = np.concatenate([image.reshape(-1, 3) for image in images]) / _PIXEL
    found = of_numbers(pixels)
    shaped = {key: value.reshape(3, 1, 1) for key, value in found.items() if key != 'count'}
    return {**shaped, 'count': np.array([len(images)])}


def sampled(frames: int) -> list[int]:
    """Return the frames of an episode whose images statistics are taken of."""
    return np.unique(np.linspace(0, frames - 1, min(frames, _MOST_IMAGES)).round().astype(int)
                     ).tolist()


def together(episodes: Iterable[Mapping[str, Stats]]) -> dict[str, Stats]:
    """Return the statistics of all episodes.

    Mean and deviation are exact. Quantiles cannot be had from quantiles: as LeRobot does, the
    lowest of the lower ones and the highest of the upper ones are given.
    """
    parts: dict[str, list[Stats]] = {}
    for episode in episodes:
        for name, stats in episode.items():
            parts.setdefault(name, []).append(stats)
    return {name: _pooled(stats) for name, stats in parts.items()}


def _pooled(parts: Sequence[Stats]) -> Stats:
    counts = np.array([float(part['count'][0]) for part in parts])
    weights = (counts / counts.sum()).reshape(-1, *[1] * parts[0]['mean'].ndim)
    means, deviations = (np.stack([part[key] for part in parts]) for key in ('mean', 'std'))
    mean = (weights * means).sum(0)
    variance = (weights * (deviations ** 2 + (means - mean) ** 2)).sum(0)
    found = {
        'min': np.min([part['min'] for part in parts], axis=0),
        'max': np.max([part['max'] for part in parts], axis=0),
        'mean': mean, 'std': np.sqrt(variance), 'count': np.array([int(counts.sum())])}
    for key, quantile in zip(_KEYS, QUANTILES):
        values = [part[key] for part in parts]
        found[key] = np.min(values, axis=0) if quantile <= 0.5 else np.max(values, axis=0)
    return found


def as_lists(stats: Mapping[str, Stats]) -> dict[str, dict[str, Any]]:
    """Return statistics for JSON."""
    return {name: {key: value.tolist() for key, value in one.items()}
            for name, one in stats.items()}
