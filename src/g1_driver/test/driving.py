# SPDX-License-Identifier: Apache-2.0
"""Drives a driver node as the rest of the robot does."""

import tempfile

import numpy as np
from lifecycle_msgs.srv import ChangeState
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from g1_driver.messages import joint_command
from g1_driver.node import DriverNode
from lwd_msgs.msg import ExecutedCommand, Tick
from lwd_ros.convert import to_ns
from lwd_ros.qos import COMMAND, RECORD, SENSOR


class Commander:
    """Answers every tick with a target that moves at a given pace, as an arbiter would."""

    def __init__(self, graph):
        self.graph = graph
        self.publisher = graph.client.create_publisher(JointTrajectory, 'joint_command', COMMAND)
        self.target = None
        self.change = lambda message: message
        graph.client.create_subscription(Tick, 'tick', self.answer, RECORD)

    def answer(self, tick):
        if self.target is not None:
            self.publisher.publish(self.change(
                joint_command(self.target, to_ns(tick.header.stamp))))


def start(graph, backend, **parameters):
    """Start a driver without cameras and wait for it to tick."""
    ticks = graph.listen(Tick, 'tick', RECORD)
    executed = graph.listen(ExecutedCommand, 'executed_command', RECORD)
    states = graph.listen(JointState, 'joint_states', SENSOR)
    parameters.setdefault('cameras__names', [''])
    parameters.setdefault('state_folder', tempfile.mkdtemp())
    node = graph.add(DriverNode, backend=backend, **parameters)
    graph.until(lambda: len(ticks) > 2 and len(executed) > 2 and len(states) > 2, 'ticks')
    return node, ticks, executed, states


def position(executed):
    return np.array(executed[-1].positions)


def holding(executed, reason):
    """Return the first message of a hold for a reason, None if there is none."""
    return next((message for message in executed if message.hold_reason == reason), None)


def change_state(graph, transition):
    request = ChangeState.Request()
    request.transition.id = transition
    return graph.call(ChangeState, 'driver/change_state', request).success
