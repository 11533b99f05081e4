# SPDX-License-Identifier: Apache-2.0
"""A safety filter above a table, for tests."""

import numpy as np

from g1_description import joints as j
from g1_driver.commands import Command
from g1_driver.safety.config import SafetyConfig
from g1_driver.safety.filter import SafetyFilter
from g1_driver.safety.proximity import ProximityModel
from g1_sim.scene import Box

PERIOD = 1 / 30
TICK_NS = round(1e9 / 30)
CONFIG = SafetyConfig()
POSTURE = np.array([0.0, 0.45, 0.28, 0.2])
TABLE = Box((0.63, 0.0, 0.66), (0.19, 0.55, 0.02))
PROXIMITY = ProximityModel(CONFIG, posture=POSTURE, keep_out=[TABLE])
READY = j.HOME


def make(start=READY, config=CONFIG):
    found = SafetyFilter(config, PROXIMITY, period=PERIOD)
    found.reset(start)
    return found


def run(safety, target, ticks, now=10**12):
    executed = None
    for _ in range(ticks):
        now += TICK_NS
        executed = safety.step(Command(np.asarray(target), now), now_ns=now)
    return executed, now
