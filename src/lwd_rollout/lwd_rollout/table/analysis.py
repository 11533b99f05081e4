# SPDX-License-Identifier: Apache-2.0
"""What critics know: ranking within a state, and whether V says how often success comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from lwd_rollout.ranking import Branch, ranking

_BINS = 5


def critic_figures(branches: Sequence[Branch]) -> dict[str, float]:
    """Return figures of one critic: of Q within states, of V between them.

    `auc`, `slope`, `correlation` and `spread` are those of `ranking.Ranking`; `v_slope` is that
    of success over V between states, `v_error` the mean distance of V from the part that
    succeeded, over bins of V with equally many states (1 and 0 are calibrated).
    """
    found = {name: float(value) for name, value in asdict(ranking(branches)).items()}
    return found | calibration(branches)


def calibration(branches: Sequence[Branch]) -> dict[str, float]:
    """Return how V stands to success, over states."""
    states: dict[tuple[str, int], list[Branch]] = {}
    for one in branches:
        states.setdefault((one.task, one.seed), []).append(one)
    v = np.array([np.mean([one.v for one in group]) for group in states.values()])
    success = np.array([np.mean([one.success for one in group]) for group in states.values()])
    known = np.isfinite(v) & np.isfinite(success)
    v, success = v[known], success[known]
    apart = v - v.mean() if len(v) else v
    square = float(apart @ apart)
    slope = float(apart @ success) / square if square > 0.0 else float('nan')
    order = np.argsort(v, kind='stable')
    parts = [part for part in np.array_split(order, _BINS) if len(part)]
    error = sum(len(part) * abs(float(v[part].mean() - success[part].mean()))
                for part in parts) / len(v) if len(v) else float('nan')
    return {'v_slope': slope, 'v_error': error,
            'v_mean': float(v.mean()) if len(v) else float('nan')}
