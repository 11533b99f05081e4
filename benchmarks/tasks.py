# SPDX-License-Identifier: Apache-2.0
"""Scores of every task's expert, on both distributions, and of perturbed experts."""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.harness import quick, report
from g1_sim.tasks import TASKS
from lwd_rollout.evaluate import EvaluationPlan, evaluate

EPISODES = 4 if quick() else 100
FLAWED_EPISODES = 4 if quick() else 40
SEVERITIES = (0.5, 1.0, 1.5)


def main() -> int:
    """Run the benchmark."""
    metrics: dict[str, float] = {}
    bars: dict[str, tuple[str, float]] = {}
    # Seeds of the split `tune` that no expert was written against.
    clean = evaluate(EvaluationPlan('expert', episodes=EPISODES, films=False, first_seed=5_000))
    for row in clean:
        metrics[f'{row.task}_{row.distribution}'] = row.score
        bars[f'{row.task}_{row.distribution}'] = ('>=', 0.95)
        metrics[f'{row.task}_{row.distribution}_steps'] = row.steps / row.episodes
    for severity in SEVERITIES:
        rows = evaluate(EvaluationPlan(
            f'flawed:{severity}', episodes=FLAWED_EPISODES, films=False, first_seed=6_000,
            distributions=('train',)))
        for row in rows:
            metrics[f'{row.task}_flawed_{severity}'] = row.score
    for name in TASKS:
        scores = [metrics[f'{name}_flawed_{severity}'] for severity in SEVERITIES]
        # Room both ways: somewhere between mild and gross mistakes a score from 0.3 to 0.8.
        metrics[f'{name}_flawed_inside'] = float(np.mean([0.3 <= s <= 0.8 for s in scores]))
        bars[f'{name}_flawed_inside'] = ('>=', 0.3)
    metrics['episodes'] = float(EPISODES)
    return report('tasks', metrics, bars)


if __name__ == '__main__':
    sys.exit(main())
