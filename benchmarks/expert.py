# SPDX-License-Identifier: Apache-2.0
"""Success of the scripted expert over many scenes, through the control loop and safety filter."""

from __future__ import annotations

import sys
import time

import numpy as np

from benchmarks.harness import quick, report
from g1_driver.clock import VirtualClock
from g1_driver.commands import Clip, Command
from g1_driver.loop import ControlLoop
from g1_driver.safety.config import SafetyConfig
from g1_driver.sim_robot import SimConfig, SimRobot
from g1_sim.experts import expert_for
from g1_sim.tasks.base import Terminal
from lwd_rollout.workers import workers

SEEDS = 20 if quick() else 200


def episode(argument: tuple[str, str, int]) -> tuple[bool, float, int, int]:
    """Run one episode; returns (success, robot seconds, steps, steps stopped for distance)."""
    task, distribution, seed = argument
    clock = VirtualClock()
    robot = SimRobot(SimConfig(task=task, distribution=distribution, seed=seed), clock)
    loop = ControlLoop(robot, SafetyConfig(), clock)
    loop.start()
    expert = expert_for(robot.world)
    steps = near = 0
    while True:
        observation = loop.observe()
        executed = loop.act(Command(expert.act(), observation.stamp_ns))
        steps += 1
        near += bool(np.any(executed.clips & Clip.DISTANCE))
        verdict = robot.verdict()
        if verdict.terminal:
            return verdict.terminal is Terminal.SUCCESS, robot.world.time, steps, near


def main() -> int:
    """Run the benchmark."""
    metrics: dict[str, float] = {}
    with workers() as pool:
        for distribution in ('train', 'deploy'):
            began = time.perf_counter()
            # Scenes that no tuning of the expert has looked at begin at 10000.
            results = list(pool.map(episode, [
                ('restock', distribution, 10_000 + seed) for seed in range(SEEDS)], chunksize=5))
            steps = sum(result[2] for result in results)
            metrics[f'success_{distribution}'] = float(np.mean([r[0] for r in results]))
            metrics[f'seconds_{distribution}'] = float(np.median([r[1] for r in results]))
            metrics[f'stopped_share_{distribution}'] = sum(r[3] for r in results) / steps
            metrics[f'steps_per_wall_second_{distribution}'] = steps / (
                time.perf_counter() - began)
    metrics['episodes'] = float(SEEDS)
    return report('expert', metrics, {'success_train': ('>=', 0.98)})


if __name__ == '__main__':
    sys.exit(main())
