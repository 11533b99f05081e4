# SPDX-License-Identifier: Apache-2.0
"""A node that shows in rviz where the hands are going, who moves them, version and reward."""

from __future__ import annotations

import sys
from collections import deque

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import JointState
from visualization_msgs.msg import MarkerArray

from g1_description.joints import STATE_NAMES
from lwd_actor.markers import HandPaths, markers
from lwd_actor.markers_config import MarkersConfig
from lwd_actor.proposal import Source
from lwd_msgs.msg import ActionChunk, ControlStep, Reward
from lwd_ros.latest import Latest
from lwd_ros.parameters import declare
from lwd_ros.process import run
from lwd_ros.qos import RECORD

Array = NDArray[np.float64]

_TRAIL = 30
_CHUNKS = 4


class MarkersNode(Node):
    """Publishes policy_markers."""

    def __init__(self, **options: object) -> None:
        """Listen to the robot of this namespace."""
        super().__init__('markers', **options)
        self.config = declare(self, MarkersConfig)
        self._paths = HandPaths()
        self._step: ControlStep | None = None
        self._reward: Reward | None = None
        self._chunks: dict[int, ActionChunk] = {}
        self._trail: deque[Array] = deque(maxlen=_TRAIL)
        self._publisher = self.create_publisher(MarkerArray, 'policy_markers', 1)
        self._joints = Latest(self, JointState, 'joint_states')
        self.create_subscription(ActionChunk, 'action_chunk', self._on_chunk, RECORD)
        self.create_subscription(ControlStep, 'control_step', self._on_step, RECORD)
        self.create_subscription(Reward, 'reward', self._on_reward, RECORD)
        self._timer = self.create_timer(1.0 / self.config.rate, self._show)

    def _on_chunk(self, message: ActionChunk) -> None:
        self._chunks[message.chunk_id] = message
        while len(self._chunks) > _CHUNKS:
            del self._chunks[next(iter(self._chunks))]

    def _on_step(self, message: ControlStep) -> None:
        if self._step is not None and message.tick <= self._step.tick:
            # The driver was started anew, and the policy counts on: nothing before holds.
            self._trail.clear()
        self._step = message
        if len(message.positions):
            self._trail.append(np.asarray(message.positions, dtype=np.float64))

    def _on_reward(self, message: Reward) -> None:
        self._reward = message

    def _show(self) -> None:
        step, joints = self._step, self._joints.get()
        if step is None or joints is None or tuple(joints.name) != STATE_NAMES:
            return
        posture = np.asarray(joints.position[16:], dtype=np.float64)
        self._publisher.publish(markers(
            self._paths(self._coming(step), posture), Source(step.source), self._lines(step)))

    def _coming(self, step: ControlStep) -> Array:
        """Return the commands to show, (N, 16): what is left of the chunk, else the last ones."""
        chunk = self._chunks.get(step.chunk_id)
        if step.source == ControlStep.SOURCE_POLICY and chunk is not None:
            commands = np.asarray(chunk.positions).reshape(chunk.horizon, -1)
            return commands[step.chunk_index:]
        return np.array(self._trail).reshape(-1, 16)

    def _lines(self, step: ControlStep) -> list[str]:
        who = Source(step.source).name.lower()
        version = step.policy_version[:12] or 'none'
        reward = self._reward
        got = 'reward: none yet' if reward is None else (
            f'reward: {reward.reward:g}, score {reward.score:g}'
            + (f' ({reward.detail})' if reward.detail else ''))
        return [f'{self.config.robot}: {who}', f'policy: {version}', got]


def main() -> int:
    """Run the markers as a process."""
    return run(MarkersNode)


if __name__ == '__main__':
    sys.exit(main())
