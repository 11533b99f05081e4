# SPDX-License-Identifier: Apache-2.0
"""What a fleet gains while it deploys, in runs of the demo with different seeds.

Each compares its first and last policy on scenes of its own, that no policy was trained on. It
is kept in RUNS (default runs/demo_gain) and not run again; one that was cut off is gone on with.
COUNT=5 says how many; MINUTES, ROBOTS, TASKS, EPISODES change what a new run is, SETTINGS adds to
it, as `lwd demo` takes them: SETTINGS="learner.learner.train.algorithm=lwd".
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.demo_runs import Run
from benchmarks.harness import quick, report

COUNT = int(os.environ.get('COUNT', '1' if quick() else '5'))
OPTIONS = {'--minutes': os.environ.get('MINUTES', '0.3' if quick() else ''),
           '--episodes': os.environ.get('EPISODES', '2' if quick() else ''),
           '--robots': os.environ.get('ROBOTS', '1' if quick() else ''),
           '--tasks': os.environ.get('TASKS', 'restock' if quick() else ''),
           '--pool-hours': '0' if quick() else ''}
SETTINGS = shlex.split(os.environ.get('SETTINGS', ''))
POINTS = 100.0
LEAST_GAIN = 15.0
"""Points from the first policy to the last, that a run counts for; its 95 % interval, paired by
scene, must be above 0 as well."""
LEAST_RUNS = 4


def run(folder: Path) -> int:
    """Run what is not there yet, and judge all."""
    gains, low, firsts, lasts = [], [], [], []
    for seed in range(COUNT):
        words = ['--seed', str(seed),
                 *(word for option in OPTIONS.items() if option[1] for word in option),
                 *SETTINGS]
        found = Run(folder / f'seed-{seed}', words).finish()['comparison']
        print(f'seed {seed}: {found["first"]:.2f} -> {found["last"]:.2f}, {found["gain"]:+.2f} '
              f'({found["gain_low"]:+.2f} .. {found["gain_high"]:+.2f})', flush=True)
        gains.append(POINTS * found['gain'])
        low.append(POINTS * found['gain_low'])
        firsts.append(found['first'])
        lasts.append(found['last'])
    return report('demo_gain', {
        'runs': COUNT, 'first_success': float(np.mean(firsts)),
        'last_success': float(np.mean(lasts)), 'gain_points': float(np.mean(gains)),
        'gain_points_min': min(gains), 'gain_points_max': max(gains),
        'runs_that_gain': sum(
            gain >= LEAST_GAIN and value > 0.0 for gain, value in zip(gains, low)),
        'runs_with_interval_above_0': sum(value > 0.0 for value in low),
    }, {'runs': ('==', 1.0)} if quick() else {
        'runs_that_gain': ('>=', LEAST_RUNS)})


def main() -> int:
    """Run the benchmark."""
    if quick() and 'RUNS' not in os.environ:
        with tempfile.TemporaryDirectory() as folder:
            return run(Path(folder))
    return run(Path(os.environ.get('RUNS', 'runs/demo_gain')).absolute())


if __name__ == '__main__':
    sys.exit(main())
