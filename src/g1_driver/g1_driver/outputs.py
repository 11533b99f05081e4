# SPDX-License-Identifier: Apache-2.0
"""What the driver publishes, and when: the loop's listener."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import CameraInfo, CompressedImage, JointState
from std_msgs.msg import String

from g1_description.urdf import urdf
from g1_driver import messages
from g1_driver.commands import Executed
from g1_driver.config import LOCKSTEP, DriverConfig
from g1_driver.health import Monitor
from g1_driver.loop import ControlLoop, Observation
from g1_driver.robot import JointSample, SceneInfo, SimulatedRobot
from lwd_msgs.msg import ExecutedCommand, Reward, SceneFeatures, SimState, Task, Tick
from lwd_ros.convert import to_time
from lwd_ros.qos import LATCHED, RECORD, SENSOR


class Outputs:
    """Publishes what happens in the loop. Its methods run in the loop's thread."""

    def __init__(
        self, node: Node, config: DriverConfig, monitor: Monitor,
        failed: Callable[[BaseException], None],
    ) -> None:
        """Make the publishers; `attach` gives the loop."""
        self._monitor, self._failed = monitor, failed
        self._quality = config.cameras.jpeg_quality
        names = config.cameras.names
        self._virtual = config.mode == LOCKSTEP
        # Who only wants the newest asks for no more; who records asks for every one and gets it,
        # however busy the machine. It never makes the driver wait: the oldest is overwritten.
        stream = RECORD
        self._states = node.create_publisher(JointState, 'joint_states', stream)
        self._images = {
            name: node.create_publisher(CompressedImage, f'{name}/image_raw/compressed', stream)
            for name in names}
        self._infos = {
            name: node.create_publisher(CameraInfo, f'{name}/camera_info', stream)
            for name in names}
        self._ticks = node.create_publisher(Tick, 'tick', RECORD)
        self._executed = node.create_publisher(ExecutedCommand, 'executed_command', RECORD)
        self._description = node.create_publisher(String, 'robot_description', LATCHED)
        self._description.publish(String(data=urdf()))
        if config.backend == 'sim':
            self._rewards = node.create_publisher(Reward, 'reward', RECORD)
            self._tasks = node.create_publisher(Task, 'task', LATCHED)
            self._features = node.create_publisher(SceneFeatures, 'scene_features', RECORD)
            self._sim_states = node.create_publisher(SimState, 'sim_state', RECORD)
        if self._virtual:
            self._clocks = node.create_publisher(ClockMessage, 'clock', SENSOR)

    def attach(self, loop: ControlLoop) -> None:
        """Publish for a loop that was just set up."""
        self._loop = loop
        self._image_stamps: dict[str, int] = {}
        self._over = False

    def state(self, sample: JointSample) -> None:
        """Publish a joint sample."""
        self._states.publish(messages.joint_state(sample))

    def observed(self, observation: Observation) -> None:
        """Publish what the robot sees; the tick message comes last, when all else is out."""
        self._monitor.tick(observation.joints.stamp_ns)
        self.state(observation.joints)
        for frame in observation.frames:
            self._images[frame.camera].publish(messages.image(frame, self._quality))
            self._infos[frame.camera].publish(messages.camera_info(frame))
            self._image_stamps[frame.camera] = frame.stamp_ns
            self._monitor.image(frame.camera)
        if self._virtual:
            self._clocks.publish(ClockMessage(clock=to_time(observation.stamp_ns)))
        robot = self._loop.robot
        if isinstance(robot, SimulatedRobot):
            self._features.publish(messages.scene_features(
                observation.tick, observation.stamp_ns, robot.features()))
        self._ticks.publish(messages.tick(
            observation.tick, observation.stamp_ns, observation.reset_count,
            observation.joints.stamp_ns, self._image_stamps))
        if isinstance(robot, SimulatedRobot):
            self._sim_states.publish(messages.sim_state(
                observation.tick, observation.stamp_ns, observation.reset_count, robot.info,
                *robot.privileged()))

    def decided(self, observation: Observation, executed: Executed) -> None:
        """Publish what is sent to the robot."""
        self._monitor.executed(executed)
        self._executed.publish(
            messages.executed_command(observation.tick, observation.stamp_ns, executed))

    def stepped(self, observation: Observation) -> None:
        """Let the simulator's judge look at the step; it speaks once, at an episode's end."""
        robot = self._loop.robot
        if not isinstance(robot, SimulatedRobot) or self._over:
            return
        verdict = robot.verdict()
        self._over = bool(verdict.terminal)
        if self._over:
            self._rewards.publish(messages.reward(
                observation.tick, observation.stamp_ns, verdict, robot.info.subtasks))

    def failed(self, error: BaseException) -> None:
        """Pass on that the loop has ended."""
        self._failed(error)

    def scene(self, info: SceneInfo) -> None:
        """Publish the scene that was just drawn; a new episode begins."""
        self._over = False
        self._tasks.publish(messages.task(
            info, self._loop.clock.now_ns(), self._loop.reset_count))
