# SPDX-License-Identifier: Apache-2.0
"""CPU time of the safety filter a command: in an expert's motion, and in a wild one."""

from __future__ import annotations

import sys
import time

import numpy as np

from benchmarks.harness import quick, report
from g1_description.joints import COMMAND_JOINTS, limits
from g1_driver.clock import VirtualClock
from g1_driver.commands import Command
from g1_driver.loop import ControlLoop
from g1_driver.safety.config import SafetyConfig
from g1_driver.sim_robot import SimConfig, SimRobot
from g1_sim.experts import expert_for

STEPS = 600 if quick() else 4000


def main() -> int:
    """Run the benchmark."""
    clock = VirtualClock()
    robot = SimRobot(SimConfig(), clock)
    loop = ControlLoop(robot, SafetyConfig(), clock)
    loop.start()
    expert = expert_for(robot.world)
    usual: list[float] = []
    while len(usual) < STEPS:
        if expert.finished:
            robot.reset(-1)
            loop.scene_changed()
            expert = expert_for(robot.world)
        observation = loop.observe()
        command = Command(expert.act(), observation.stamp_ns)
        began = time.thread_time()
        executed = loop.decide(command)
        usual.append(1e3 * (time.thread_time() - began))
        loop.stream(executed)
    rng = np.random.default_rng(0)
    lower, upper = limits(COMMAND_JOINTS)
    wild: list[float] = []
    goal = expert.act()
    for i in range(STEPS):
        if i % 15 == 0:
            goal = rng.uniform(lower, upper)
        began = time.thread_time()
        loop.filter.step(Command(goal, i), now_ns=i)
        wild.append(1e3 * (time.thread_time() - began))
    return report('safety', {
        'command_ms': float(np.median(usual)),
        'command_ms_p99': float(np.percentile(usual, 99)),
        'wild_command_ms': float(np.median(wild)),
        'wild_command_ms_p99': float(np.percentile(wild, 99)),
        'commands': float(len(usual)),
    }, {'command_ms': ('<=', 0.3)})


if __name__ == '__main__':
    sys.exit(main())
