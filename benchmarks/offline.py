# SPDX-License-Identifier: Apache-2.0
"""Offline LWD against SFT trained equally long, and expectile against DIVL: the learning result.

The part of `benchmarks/table.py` that needs no deployment: two short tasks and a long one, scene
observations, one multi-task policy, the same pool, networks, sampler steps and number of updates
for every method, held-out scenes of the shifted distribution, full and halved initial noise of the
flow. Settings were chosen on other seeds (split `tune`).

A run that was interrupted goes on. Environment: SEEDS (3), EPISODES (200 of each task), SPLIT
(test), FIRST_SEED (0), and RUN, POOL, PROCESSES as in `comparison.py`. Other values make another
protocol, which needs a RUN of its own. In full it takes seven hours on two cores; SHORT=1 is what
fits into two and a half: 7,000 updates instead of 15,800, full noise only, 70 episodes of each
task for each seed (210 a seed), on scenes of its own, and critics asked in 15 states of each task.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from benchmarks.comparison import TINY, compare, metrics_of
from benchmarks.harness import quick, report
from lwd_bringup.commands.bench import find_protocol
from lwd_rollout.table.protocol import load

SHORT = {
    'name': 'offline-short', 'budget.reference': 4000, 'budget.critic': 2500,
    'testing.noises': [1.0], 'testing.episodes': 70,
    'testing.first_seed': 20_000_000, 'branching.states': 15}
"""What SHORT=1 has otherwise; on other scenes, so that the full one's are not spent."""


def main() -> int:
    """Run the benchmark."""
    settings: dict[str, Any] = {
        'name': 'offline', 'tasks': ['restock', 'correct', 'shoebox'],
        'methods': ['sft', 'sft_long', 'lwd_offline', 'expectile_offline'], 'pool.hours': 7.0,
        'testing.best_of': [1], 'testing.episodes': 200}
    if os.environ.get('SHORT') == '1':
        settings |= SHORT
    settings |= {
        'seeds': int(os.environ.get('SEEDS', '3')),
        'testing.episodes': int(os.environ.get('EPISODES', settings['testing.episodes'])),
        'testing.split': os.environ.get('SPLIT', 'test'),
        'testing.first_seed': int(os.environ.get(
            'FIRST_SEED', settings.get('testing.first_seed', 0)))}
    if quick():
        settings |= TINY
    found = compare(load(find_protocol('table'), settings))
    bars = {'lwd_offline_over_sft_long_noise1_low': ('>=', 0.0)}
    return report('offline', metrics_of(found), {} if quick() else bars)


if __name__ == '__main__':
    sys.exit(main())
