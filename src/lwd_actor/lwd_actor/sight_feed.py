# SPDX-License-Identifier: Apache-2.0
"""Puts together what a robot shows at a tick, from live topics.

The driver's tick names the stamps of the joint state and of each camera's newest image. These very
messages are taken, not whatever came last: what the policy sees is then what the record of the
step says that it saw.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, JointState

from g1_description.joints import STATE_NAMES
from lwd_actor import messages
from lwd_actor.errors import ObservationError
from lwd_actor.policies.base import Needs
from lwd_actor.policy_config import SightConfig
from lwd_actor.sight import Sight
from lwd_actor.stamped import Stamped
from lwd_msgs.msg import Episode, ExecutedCommand, SceneFeatures, Task, Tick
from lwd_ros.convert import to_ns
from lwd_ros.qos import LATCHED, RECORD, SENSOR_RECORD

Array = NDArray[np.float64]

_JOINTS = 'joint_states'
_SCENE = 'scene_features'
_DEPTH = {_JOINTS: 32, _SCENE: 4}
_IMAGES = 8
_COMMANDS = 16


def image_topic(camera: str) -> str:
    """Return the topic of a camera's images."""
    return f'{camera}/image_raw/compressed'


class SightFeed:
    """Subscribes to what a policy needs, and puts it together tick by tick."""

    def __init__(
        self, node: Node, config: SightConfig, *, instruction: str, reliable: bool,
        arrived: Callable[[], None],
    ) -> None:
        """Subscribe. Made before the node's own `tick`.

        Args:
            node: In the robot's namespace.
            config: Limits of age.
            instruction: What the policy is told; empty for what the task or the episode says.
            reliable: Whether the driver offers its streams reliably, as it does in lockstep.
            arrived: Called when something came that a sight may have been waiting for.
        """
        self.executed: ExecutedCommand | None = None
        """What the driver sent last."""
        self._node, self._config, self._arrived = node, config, arrived
        self._instruction = instruction
        self._stream: QoSProfile = RECORD if reliable else SENSOR_RECORD
        self._streams: dict[str, Stamped] = {}
        self._needs = Needs()
        self._commands: dict[int, Array] = {}
        self._task: Task | None = None
        self._episode: Episode | None = None
        self._tick: Tick | None = None
        self.first_tick = -1
        """The first tick of the present scene; -1 if it was not heard."""
        self._publishers: dict[str, int] = {}
        self._census_of = ['tick', _JOINTS, 'executed_command', 'policy_command']
        node.create_subscription(ExecutedCommand, 'executed_command', self._on_executed, RECORD)
        node.create_subscription(Task, 'task', self._on_task, LATCHED)
        node.create_subscription(Episode, 'episode', self._on_episode, LATCHED)
        self._subscribe(_JOINTS, JointState)
        self._census = node.create_timer(0.5, self._count)

    def _subscribe(self, topic: str, kind: type[Any]) -> None:
        stream = self._streams[topic] = Stamped(_DEPTH.get(topic, _IMAGES))

        def take(raw: bytes) -> None:
            try:
                stream.put(raw)
            except ObservationError as error:
                self._node.get_logger().error(f'{topic}: {error}')
            self._arrived()

        self._node.create_subscription(kind, topic, take, self._stream, raw=True)

    def need(self, needs: Needs) -> None:
        """Subscribe to what a policy must be shown, as far as it is not yet."""
        self._needs = needs
        wanted: dict[str, type[Any]] = {
            image_topic(camera): CompressedImage for camera in needs.cameras}
        if needs.scene:
            wanted[_SCENE] = SceneFeatures
        for topic, kind in wanted.items():
            if topic not in self._streams:
                self._subscribe(topic, kind)
                self._census_of.append(topic)

    def _on_executed(self, message: ExecutedCommand) -> None:
        self.executed = message
        self._commands[message.tick] = np.asarray(message.positions, dtype=np.float64)
        while len(self._commands) > _COMMANDS:
            del self._commands[next(iter(self._commands))]
        self._arrived()

    def _on_task(self, message: Task) -> None:
        self._task = message
        self._arrived()

    def _on_episode(self, message: Episode) -> None:
        self._episode = message

    def began(self, tick: Tick) -> bool:
        """Take a tick; returns whether the robot was reset, or its driver started, before it."""
        before, self._tick = self._tick, tick
        again = before is not None and tick.tick <= before.tick
        if again:
            # The driver was started anew, with a clock and numbers of its own.
            for stream in self._streams.values():
                stream.jumped_ns = 0
            self._commands.clear()
            self.executed = None
        new = before is None or again or tick.reset_count != before.reset_count
        if again or tick.tick == 0 or (new and before is not None):
            self.first_tick = tick.tick
        return new

    @property
    def instruction(self) -> str:
        """What the policy is told at the present tick; empty if nothing is known."""
        if self._instruction or self._tick is None:
            return self._instruction
        task, episode = self._task, self._episode
        if task is not None:
            # A simulated scene's: one of another reset is not of this tick.
            return task.instruction if task.reset_count == self._tick.reset_count else ''
        running = episode is not None and episode.state == Episode.STATE_RUNNING
        return episode.instruction if episode is not None and running else ''

    def sight(self) -> Sight | None:
        """Return what there is to see at the present tick; None while a part is missing.

        Raises:
            ObservationError: The joint state is of other joints.
        """
        tick = self._tick
        if tick is None or self.trouble() or self.waiting():
            return None
        seen = messages.seen(tick)
        raw = self._streams[_JOINTS].get(seen.joints_ns)
        assert raw is not None  # noqa: S101  waiting() has looked
        joints = deserialize_message(raw, JointState)
        if tuple(joints.name) != STATE_NAMES or len(joints.position) != len(STATE_NAMES):
            raise ObservationError(
                f'{_JOINTS} has {len(joints.position)} positions of {", ".join(joints.name)}; '
                f'this robot has {", ".join(STATE_NAMES)}')
        state = np.asarray(joints.position, dtype=np.float64)
        images: dict[str, bytes] = {}
        for camera in self._needs.cameras:
            image = self._streams[image_topic(camera)].get(seen.images_ns[camera])
            assert image is not None  # noqa: S101  waiting() has looked
            images[camera] = image
        stamp = to_ns(tick.header.stamp)
        sent = state[:16] if tick.tick == self.first_tick else self._commands[tick.tick - 1]
        return Sight(
            tick.tick, stamp, tick.reset_count, seen, state, sent, self.instruction,
            -1 if self._task is None else self._task.seed, images,
            self._streams[_SCENE].get(stamp) if self._needs.scene else None)

    def waiting(self) -> str:
        """Return what of the present tick has not come yet, as it may still; empty if nothing."""
        tick = self._tick
        if tick is None:
            return 'tick'
        seen = messages.seen(tick)
        if self._streams[_JOINTS].get(seen.joints_ns) is None:
            return _JOINTS
        if tick.tick != self.first_tick and tick.tick - 1 not in self._commands:
            return 'executed_command'
        if not self.instruction:
            return 'task'
        for camera in self._needs.cameras:
            topic = image_topic(camera)
            if self._streams[topic].get(seen.images_ns[camera]) is None:
                return topic
        if self._needs.scene and self._streams[_SCENE].get(to_ns(tick.header.stamp)) is None:
            return _SCENE
        return ''

    def contested(self) -> str:
        """Return which topic has several publishers, of whom one must be wrong; or nothing."""
        for topic, count in self._publishers.items():
            if count > 1:
                return f"{topic} has {count} publishers; stop all but the robot's own"
        return ''

    def trouble(self) -> str:
        """Return why there is nothing to see at the present tick, naming the topic; or nothing."""
        tick = self._tick
        if tick is None:
            return 'tick is silent: is the driver active?'
        if self.contested():
            return self.contested()
        if tick.tick != self.first_tick and not self._commands:
            return 'executed_command is silent: nothing has come yet'
        for topic, stream in self._streams.items():
            if stream.newest_ns < 0 and (topic != _SCENE or self._needs.scene):
                return f'{topic} is silent: nothing has come yet'
        seen, now = messages.seen(tick), to_ns(tick.header.stamp)
        found = self._unfit(_JOINTS, now, seen.joints_ns, self._config.max_state_age)
        for camera in self._needs.cameras:
            if found:
                break
            topic = image_topic(camera)
            if camera not in seen.images_ns:
                return (f'{topic} is silent: no image yet, but the policy sees this camera; name '
                        'it in driver.cameras.names')
            found = self._unfit(
                topic, now, seen.images_ns[camera], self._config.max_image_age)
        return found

    def _unfit(self, topic: str, now_ns: int, stamp_ns: int, limit: float) -> str:
        age = (now_ns - stamp_ns) / 1e9
        jump = self._streams[topic].jumped_ns / 1e9
        if jump > limit:
            return f'{topic} jumped {jump:.2f} s back in time: it has another clock than the robot'
        if age > limit:
            return f'{topic} is silent: its newest is {age:.2f} s old, {limit:g} s is the limit'
        if -age > self._config.max_ahead:
            return (f'{topic} is stamped {-age:.2f} s ahead of the tick: it has another clock '
                    'than the robot')
        return ''

    def _count(self) -> None:
        self._publishers = {
            topic: self._node.count_publishers(self._node.resolve_topic_name(topic))
            for topic in self._census_of}
