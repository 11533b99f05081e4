# SPDX-License-Identifier: Apache-2.0
"""A node that drives a simulated robot with the task's scripted expert, as a policy would.

It rebuilds the driver's scene from `sim_state` and so sees the same world, bit for bit: an episode
in lockstep is the same under ROS as in process.
"""

from __future__ import annotations

import array
import sys
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node

from g1_description.joints import COMMAND_NAMES
from g1_driver.mirror import Mirror
from g1_sim.errors import SimError
from g1_sim.experts import Expert, expert_for
from g1_sim.experts.flaws import Flaws
from lwd_msgs.msg import ControlStep, SimState
from lwd_ros.diagnostics import ERROR, OK, Diagnostics, Health
from lwd_ros.parameters import declare
from lwd_ros.process import run
from lwd_ros.qos import COMMAND, RECORD


@dataclass(frozen=True)
class ExpertConfig:
    """Parameters of the expert node."""

    robot: str = 'g1_01'
    """The robot's name; goes into diagnostics."""
    flaws: Flaws = field(default_factory=Flaws)
    """What it does wrong; nothing by default."""


class ExpertNode(Node):
    """Answers every sim_state with the expert's command, for the arbiter."""

    def __init__(self, **options: object) -> None:
        """Subscribe to the simulated robot of this namespace."""
        super().__init__('sim_expert', **options)
        self.config = declare(self, ExpertConfig)
        self._mirror = Mirror()
        self._expert: Expert | None = None
        self._trouble = ''
        self._steps = 0
        self._commands = self.create_publisher(ControlStep, 'policy_command', COMMAND)
        self.create_subscription(SimState, 'sim_state', self._on_state, RECORD)
        self._diagnostics = Diagnostics(self, self._health, hardware_id=self.config.robot)

    def _on_state(self, message: SimState) -> None:
        try:
            if self._mirror.follow(message) or self._expert is None:
                self._expert = expert_for(self._mirror.world, self.config.flaws)
        except SimError as error:
            if self._trouble != str(error):
                self.get_logger().error(str(error))
            self._trouble = str(error)
            # Nothing to propose, which is an answer too: nobody waits for one.
            self._propose(message, None)
            return
        self._trouble = ''
        self._propose(message, self._expert.act())
        self._steps += 1

    def _propose(self, message: SimState, positions: NDArray[np.float64] | None) -> None:
        step = ControlStep(tick=message.tick, source=ControlStep.SOURCE_EXPERT)
        step.header = message.header
        step.joint_state_stamp = message.header.stamp
        if positions is not None:
            step.joint_names = list(COMMAND_NAMES)
            step.positions = array.array('d', positions)
        self._commands.publish(step)

    def _health(self) -> Health:
        if self._trouble:
            return Health(ERROR, self._trouble)
        return Health(OK, 'driving' if self._steps else 'waiting for sim_state',
                      {'steps': self._steps})


def main() -> int:
    """Run the expert as a process."""
    return run(ExpertNode)


if __name__ == '__main__':
    sys.exit(main())
