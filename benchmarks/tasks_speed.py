# SPDX-License-Identifier: Apache-2.0
"""Control steps a second of one process, each task, without and with three 128 px cameras.

Driven by the expert, through the control loop and the safety filter; CPU time of the process.
"""

from __future__ import annotations

import sys
import time

from benchmarks.harness import quick, report
from g1_description.cameras import CAMERA_NAMES
from g1_sim.tasks import TASKS
from lwd_rollout.runner import Setting, expert, run_episode

EPISODES = 1 if quick() else 4
SECONDS = 8.0 if quick() else None


def speed(setting: Setting) -> float:
    """Return steps per second of CPU time."""
    began, steps = time.process_time(), 0
    for seed in range(EPISODES):
        steps += run_episode(setting, seed, expert()).steps
    return steps / (time.process_time() - began)


def main() -> int:
    """Run the benchmark."""
    metrics: dict[str, float] = {}
    for name in TASKS:
        metrics[f'{name}'] = speed(Setting(name, max_seconds=SECONDS))
        metrics[f'{name}_cameras'] = speed(Setting(
            name, cameras=CAMERA_NAMES, max_seconds=SECONDS if quick() else 12.0))
    metrics['slowest'] = min(metrics[name] for name in TASKS)
    metrics['slowest_cameras'] = min(metrics[f'{name}_cameras'] for name in TASKS)
    return report('tasks_speed', metrics, {
        'slowest': ('>=', 300.0), 'slowest_cameras': ('>=', 60.0)})


if __name__ == '__main__':
    sys.exit(main())
