# SPDX-License-Identifier: Apache-2.0
"""What a fleet gains while it deploys, in runs of the demo with different seeds.

Each compares its first and last policy on scenes of its own, that no policy was trained on. It
is kept in RUNS (default runs/demo_gain) and not run again; one that was cut off is gone on with.
COUNT=5 says how many; MINUTES, ROBOTS, TASKS, EPISODES change what a new run is, SETTINGS adds to
it, as `lwd demo` takes them: SETTINGS="learner.learner.train.algorithm=lwd".
"""

from __future__ import annotations

import math
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.demo_runs import Run
from benchmarks.harness import quick, report
from lwd_bringup.loop.curve import rate
from lwd_bringup.loop.state import EpisodeFact

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
    runs = []
    for seed in range(COUNT):
        words = ['--seed', str(seed),
                 *(word for option in OPTIONS.items() if option[1] for word in option),
                 *SETTINGS]
        one = Run(folder / f'seed-{seed}', words)
        found = one.finish()['comparison']
        print(f'seed {seed}: {found["first"]:.2f} -> {found["last"]:.2f}, {found["gain"]:+.2f} '
              f'({found["gain_low"]:+.2f} .. {found["gain_high"]:+.2f})', flush=True)
        runs.append(one)
    return report('demo_gain', {'runs': COUNT, **gains(runs), **loops(runs), **quarters(runs)},
                  {'runs': ('==', 1.0)} if quick() else {'runs_that_gain': ('>=', LEAST_RUNS)})


def gains(runs: Sequence[Run]) -> dict[str, float]:
    """Return what the policies of some runs gained."""
    found = [one.finish()['comparison'] for one in runs]
    points = [POINTS * each['gain'] for each in found]
    low = [each['gain_low'] for each in found]
    return {
        'first_success': float(np.mean([each['first'] for each in found])),
        'last_success': float(np.mean([each['last'] for each in found])),
        'gain_points': float(np.mean(points)),
        'gain_points_min': min(points), 'gain_points_max': max(points),
        'runs_that_gain': sum(
            gain >= LEAST_GAIN and value > 0.0 for gain, value in zip(points, low)),
        'runs_with_interval_above_0': sum(value > 0.0 for value in low)}


def loops(runs: Sequence[Run]) -> dict[str, float]:
    """Return how soon and how fast the loops of some runs closed, of the fastest and slowest."""
    found = [one.finish() for one in runs]
    # None: nothing came up, or went down, at all.
    each = {
        'loop_closed_s': [one.loop_closed() for one in runs],
        'swaps_of_a_robot': [count for one in found for count in one['swaps'].values()],
        'up_p50_s': [one['up_s']['p50'] or math.inf for one in found],
        'down_p50_s': [one['down_s']['p50'] or math.inf for one in found]}
    return {
        **{f'{name}_{end}': float(of(values)) for name, values in each.items()
           for end, of in (('min', np.nanmin), ('max', np.nanmax))},
        'segments_lost': sum(one['segments_lost'] for one in found),
        'segments_doubled': sum(one['segments_doubled'] for one in found)}


def quarters(runs: Sequence[Run]) -> dict[str, float]:
    """Return how much help the policies needed in each quarter of a run's episodes."""
    parts: list[list[EpisodeFact]] = [[] for _ in range(4)]
    for one in runs:
        episodes = one.episodes()
        for place, each in enumerate(episodes):
            parts[4 * place // len(episodes)].append(each)
    found = {}
    for number, part in enumerate(parts, 1):
        if part:
            found[f'taken_over_quarter_{number}'] = float(np.mean(
                [each.interventions > 0 for each in part]))
            found[f'without_help_quarter_{number}'] = rate(part, alone=True).value
    return found


def main() -> int:
    """Run the benchmark."""
    if quick() and 'RUNS' not in os.environ:
        with tempfile.TemporaryDirectory() as folder:
            return run(Path(folder))
    return run(Path(os.environ.get('RUNS', 'runs/demo_gain')).absolute())


if __name__ == '__main__':
    sys.exit(main())
