# SPDX-License-Identifier: Apache-2.0
"""A node that drives a simulated robot with the task's scripted expert.

It rebuilds the driver's scene from `sim_state` and so sees the same world, bit for bit: an episode
in lockstep is the same under ROS as in process.
"""

from __future__ import annotations

import array
import sys
from dataclasses import dataclass

import mujoco
import numpy as np
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory

from g1_description.joints import COMMAND_NAMES
from g1_driver import messages
from g1_sim import tasks
from g1_sim.errors import SimError
from g1_sim.experts import Expert, expert_for
from g1_sim.scene import DISTRIBUTIONS
from g1_sim.world import World
from lwd_msgs.msg import ControlStep, SimState
from lwd_ros.convert import to_ns
from lwd_ros.diagnostics import ERROR, OK, Diagnostics, Health
from lwd_ros.parameters import declare
from lwd_ros.process import run
from lwd_ros.qos import COMMAND, RECORD


@dataclass(frozen=True)
class ExpertConfig:
    """Parameters of the expert node."""

    robot: str = 'g1_01'
    """The robot's name; goes into diagnostics."""


class ExpertNode(Node):
    """Answers every sim_state with the expert's command."""

    def __init__(self, **options: object) -> None:
        """Subscribe to the simulated robot of this namespace."""
        super().__init__('sim_expert', **options)
        self.config = declare(self, ExpertConfig)
        self._scene: tuple[str, str, int, int] | None = None
        self._expert: Expert | None = None
        self._trouble = ''
        self._steps = 0
        self._tick = 0
        self._step_index = 0
        self._commands = self.create_publisher(JointTrajectory, 'joint_command', COMMAND)
        self._control_steps = self.create_publisher(ControlStep, 'control_step', RECORD)
        self.create_subscription(SimState, 'sim_state', self._on_state, RECORD)
        self._diagnostics = Diagnostics(self, self._health, hardware_id=self.config.robot)

    def _on_state(self, message: SimState) -> None:
        try:
            expert = self._expert_of(message)
            expert.world.restore(np.asarray(message.state))
        except SimError as error:
            if self._trouble != str(error):
                self.get_logger().error(str(error))
            self._trouble = str(error)
            return
        self._trouble = ''
        positions = expert.act()
        stamp = to_ns(message.header.stamp)
        self._commands.publish(messages.joint_command(positions, stamp))
        step = ControlStep(
            tick=message.tick, step_index=self._step_index, source=ControlStep.SOURCE_EXPERT,
            joint_names=list(COMMAND_NAMES))
        step.header = message.header
        step.joint_state_stamp = message.header.stamp
        step.positions = array.array('d', positions)
        self._control_steps.publish(step)
        self._steps += 1
        self._step_index += 1

    def _expert_of(self, message: SimState) -> Expert:
        scene = (message.task, message.distribution, message.seed, message.reset_count)
        # A tick that goes back is one of a driver that was started anew.
        restarted, self._tick = message.tick < self._tick, message.tick
        if self._expert is not None and scene == self._scene and not restarted:
            return self._expert
        if message.mujoco_version != mujoco.__version__:
            raise SimError(
                f'the driver simulates with MuJoCo {message.mujoco_version}, this node has '
                f'{mujoco.__version__}; install the same version on both')
        if message.distribution not in DISTRIBUTIONS:
            raise SimError(f'sim_state names the distribution {message.distribution!r}')
        world = World(tasks.get(message.task).scene(message.seed, message.distribution))
        world.restore(np.asarray(message.state))
        self._expert, self._scene, self._step_index = expert_for(world), scene, 0
        return self._expert

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
