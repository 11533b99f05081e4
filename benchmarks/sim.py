# SPDX-License-Identifier: Apache-2.0
"""CPU time of a simulated control step, without and with three 128 px cameras."""

from __future__ import annotations

import sys
import time

import numpy as np

from benchmarks.harness import quick, report
from g1_description.cameras import CAMERA_NAMES
from g1_sim import tasks
from g1_sim.experts import expert_for
from g1_sim.render import CameraRig
from g1_sim.world import World

STEPS = 300 if quick() else 1500
SUBSTEPS = 8


def main() -> int:
    """Run the benchmark."""
    task = tasks.get('restock')
    plain: list[float] = []
    drawn: list[float] = []
    expert_ms: list[float] = []
    seed = 0
    world, expert = World(task.scene(seed)), None
    with CameraRig(CAMERA_NAMES, width=128, height=128) as rig:
        while len(plain) < STEPS:
            if expert is None or expert.finished:
                world = World(task.scene(seed))
                expert = expert_for(world)
                rig.images(world)
                seed += 1
            began = time.process_time()
            command = expert.act()
            acted = time.process_time()
            world.set_targets(command)
            world.advance(SUBSTEPS)
            world.refresh()
            world.positions()
            stepped = time.process_time()
            rig.images(world)
            drew = time.process_time()
            expert_ms.append(1e3 * (acted - began))
            plain.append(1e3 * (stepped - acted))
            drawn.append(1e3 * (drew - acted))
    return report('sim', {
        'step_ms': float(np.median(plain)),
        'step_with_cameras_ms': float(np.median(drawn)),
        'step_ms_p99': float(np.percentile(plain, 99)),
        'step_with_cameras_ms_p99': float(np.percentile(drawn, 99)),
        'expert_ms': float(np.median(expert_ms)),
        'steps': float(len(plain)),
    }, {'step_ms': ('<=', 1.5), 'step_with_cameras_ms': ('<=', 10.0)})


if __name__ == '__main__':
    sys.exit(main())
