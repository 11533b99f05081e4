# SPDX-License-Identifier: Apache-2.0
"""What the driver tells of the robot, for nodes that answer its ticks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import JointState

from g1_description.joints import STATE_NAMES
from lwd_msgs.msg import Episode, ExecutedCommand, Tick
from lwd_ros.convert import to_ns
from lwd_ros.latest import Latest
from lwd_ros.qos import LATCHED, RECORD

Array = NDArray[np.float64]


class RobotFeed:
    """Where the robot's command stands, and which episode runs.

    What the driver sent last is the command; in the first tick after a reset, when that is of
    another scene, it is where the joints are.
    """

    def __init__(self, node: Node) -> None:
        """Subscribe to the driver of a node's namespace. Made before the node's own `tick`."""
        self.executed: ExecutedCommand | None = None
        self.episode_id = ''
        self._joints = Latest(node, JointState, 'joint_states')
        self._first_tick: int | None = 0
        self._scene_tick = 0
        self._tick = -1
        self._reset_count = -1
        node.create_subscription(ExecutedCommand, 'executed_command', self._on_executed, RECORD)
        node.create_subscription(Episode, 'episode', self._on_episode, LATCHED)

    def _on_executed(self, message: ExecutedCommand) -> None:
        self.executed = message

    def _on_episode(self, message: Episode) -> None:
        running = message.state == Episode.STATE_RUNNING
        if running and message.episode_id != self.episode_id:
            # An episode that was only announced begins with the next step that is answered.
            begun = to_ns(message.begin) > 0
            self._first_tick = message.first_tick if begun else None
        self.episode_id = message.episode_id if running else ''

    def began(self, tick: Tick) -> bool:
        """Take a tick; returns whether the robot was reset, or its driver started, before it."""
        again = tick.reset_count != self._reset_count or tick.tick <= self._tick
        if tick.tick <= self._tick:
            self.executed = None
        self._tick, self._reset_count = tick.tick, tick.reset_count
        if again:
            self._first_tick = self._scene_tick = tick.tick
        return again

    def step_index(self, tick: Tick) -> int:
        """Return the steps since the episode began, or else since the last reset."""
        if self._first_tick is None:
            self._first_tick = tick.tick
        return max(0, tick.tick - self._first_tick)

    def command(self, tick: Tick) -> Array | None:
        """Return the command, (16,), that the robot follows; None while it is not known."""
        executed = self.executed
        if executed is not None and self._scene_tick <= executed.tick < tick.tick:
            return np.asarray(executed.positions, dtype=np.float64)
        joints = self.joints(tick)
        return None if joints is None else joints[:16]

    def joints(self, tick: Tick) -> Array | None:
        """Return the joints, (20,), at a tick; None if that sample has not come."""
        message = self._joints.get()
        if (message is None or tuple(message.name) != STATE_NAMES
                or to_ns(message.header.stamp) < to_ns(tick.joint_state_stamp)):
            return None
        return np.asarray(message.position, dtype=np.float64)
