# SPDX-License-Identifier: Apache-2.0
"""`lwd demo` as a user runs it: does the loop close, how soon, how fast, and is anything lost?

MINUTES=4, ROBOTS=2 and TASKS=restock change it; RUN=folder keeps the run there, or judges the one
that is there.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.demo_runs import Run
from benchmarks.harness import quick, report

MINUTES = os.environ.get('MINUTES', '0.6' if quick() else '10')
ROBOTS = os.environ.get('ROBOTS', '1' if quick() else '2')
TASKS = os.environ.get('TASKS', 'restock' if quick() else '')
SWAPS = 1 if quick() else 5
QUICKLY = ['--episodes', '1', '--pool-hours', '0', 'learner.learner.first_windows=100',
           'learner.learner.train.hg_dagger.online_updates=10']


def run(folder: Path) -> int:
    """Run the demo in a folder, or go on with it, and judge it."""
    words = ['--minutes', MINUTES, '--robots', ROBOTS, *(['--tasks', TASKS] if TASKS else []),
             *(QUICKLY if quick() else [])]
    one = Run(folder, words)
    found = one.finish()
    closed = one.loop_closed()
    unmeasured = {} if not math.isnan(closed) else {
        'loop_closed_s': 'the run was stopped and gone on with'}
    metrics = {
        **({} if unmeasured else {'loop_closed_s': closed}),
        'fleet_first_swap_s': found['first_swap_s'] or float('inf'),
        'swaps_of_each_robot': min(found['swaps'].values()),
        'policies': found['policies'], 'refused': sum(found['refused'].values()),
        'episodes': found['episodes'], 'take_overs': found['interventions'],
        'control_steps': found['control_steps'],
        'segments_registered': found['segments_registered'],
        'segments_waiting': found['segments_waiting'],
        'segments_lost': found['segments_lost'], 'segments_doubled': found['segments_doubled'],
        'up_p50_s': found['up_s']['p50'] or float('inf'),
        'up_p99_s': found['up_s']['p99'] or float('inf'),
        'down_p50_s': found['down_s']['p50'] or float('inf'),
        'down_p99_s': found['down_s']['p99'] or float('inf'),
        'gain': found['comparison']['gain']}
    return report('demo', metrics, {
        'loop_closed_s': ('<=', 180.0), 'swaps_of_each_robot': ('>=', SWAPS),
        'segments_lost': ('==', 0.0), 'segments_doubled': ('==', 0.0),
        'up_p50_s': ('<=', 2.0), 'down_p50_s': ('<=', 2.0)}, unmeasured=unmeasured)


def main() -> int:
    """Run the benchmark."""
    if place := os.environ.get('RUN'):
        return run(Path(place).absolute())
    with tempfile.TemporaryDirectory() as folder:
        return run(Path(folder) / 'demo')


if __name__ == '__main__':
    sys.exit(main())
