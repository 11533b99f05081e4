# SPDX-License-Identifier: Apache-2.0
"""The scripted operator of a simulated robot as a node: it watches, and acts through `joy`."""

from __future__ import annotations

import array
import sys
from dataclasses import dataclass, field

from rclpy.node import Node
from sensor_msgs.msg import Joy

from g1_driver.mirror import Mirror
from g1_sim.errors import SimError
from g1_sim.operator import Operator, OperatorConfig
from lwd_actor.errors import PadError
from lwd_actor.reasons import Reason
from lwd_actor.teleop.pad_file import load_pad
from lwd_actor.teleop.scripted import ScriptedHands, Sticks
from lwd_msgs.msg import SimState
from lwd_ros.diagnostics import ERROR, OK, Diagnostics, Health
from lwd_ros.errors import ParameterError
from lwd_ros.parameters import declare
from lwd_ros.process import run
from lwd_ros.qos import RECORD


@dataclass(frozen=True)
class OperatorNodeConfig:
    """Parameters of the scripted operator's node."""

    robot: str = 'g1_01'
    """The robot's name; goes into diagnostics."""
    pad: str = 'operator'
    """The pad in the operator's hands: one with axes for both; as the teleoperation node's."""
    operator: OperatorConfig = field(default_factory=OperatorConfig)
    """How it watches and acts."""


class OperatorNode(Node):
    """Answers every sim_state with a joy message, stamped as the tick."""

    def __init__(self, **options: object) -> None:
        """Watch the simulated robot of this namespace.

        Raises:
            ParameterError: The pad's file cannot be right.
        """
        super().__init__('sim_operator', **options)
        self.config = declare(self, OperatorNodeConfig)
        try:
            self._hands = ScriptedHands(load_pad(self.config.pad))
        except PadError as error:
            raise ParameterError(str(error)) from error
        self._mirror = Mirror()
        self._operator: Operator | None = None
        self._interventions = 0
        self._trouble = ''
        self._joy = self.create_publisher(Joy, 'joy', RECORD)
        self.create_subscription(SimState, 'sim_state', self._on_state, RECORD)
        self._diagnostics = Diagnostics(self, self._health, hardware_id=self.config.robot)

    def _on_state(self, message: SimState) -> None:
        try:
            sticks = self._watch(message)
            self._trouble = ''
        except SimError as error:
            if self._trouble != str(error):
                self.get_logger().error(str(error))
            self._trouble = str(error)
            sticks = self._hands.rest()
        joy = Joy(axes=array.array('f', sticks.axes), buttons=array.array('i', sticks.buttons))
        joy.header = message.header
        self._joy.publish(joy)

    def _watch(self, message: SimState) -> Sticks:
        if self._mirror.follow(message) or self._operator is None:
            self._operator = Operator(self._mirror.world, self.config.operator)
        operator, world = self._operator, self._mirror.world
        before = operator.interventions
        wanted = operator.watch(self._mirror.verdict)
        self._interventions += operator.interventions - before
        if wanted is None:
            return self._hands.rest()
        return self._hands.follow(
            wanted, world.targets(), world.positions()[16:], Reason(operator.reason))

    def _health(self) -> Health:
        if self._trouble:
            return Health(ERROR, self._trouble)
        active = self._operator is not None and self._operator.active
        return Health(OK, 'in control' if active else 'watching',
                      {'interventions': self._interventions})


def main() -> int:
    """Run the scripted operator as a process."""
    return run(OperatorNode)


if __name__ == '__main__':
    sys.exit(main())
