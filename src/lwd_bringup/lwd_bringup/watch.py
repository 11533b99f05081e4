# SPDX-License-Identifier: Apache-2.0
"""A node that runs episodes on a simulated robot and counts what arrives."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Joy

from g1_driver.loop import RATE
from lwd_bringup.errors import BringupError
from lwd_msgs.msg import ControlStep, ExecutedCommand, Reward, Tick
from lwd_msgs.srv import Reset
from lwd_ros.convert import to_ns
from lwd_ros.latest import Latest
from lwd_ros.qos import RECORD, SENSOR_RECORD
from lwd_ros.signals import signals_held

_READY_SECONDS = 60.0
_SILENCE_SECONDS = 30.0
_LATE_SECONDS = 1.0


@dataclass
class Stream:
    """What came of one numbered stream."""

    received: int = 0
    missing: int = 0
    """Numbers that were left out."""
    last: int = -1

    def take(self, number: int) -> None:
        """Count a message with its tick number."""
        if self.last >= 0 and number > self.last + 1:
            self.missing += number - self.last - 1
        self.last = max(self.last, number)
        self.received += 1


@dataclass
class EpisodeResult:
    """One finished episode."""

    seed: int
    instruction: str
    success: bool
    detail: str
    steps: int
    robot_seconds: float
    wall_seconds: float
    clipped_steps: int
    frames: dict[str, list[bytes]] = field(default_factory=dict)


class EpisodeRunner(Node):
    """Resets the robot of its namespace, waits for the judge, counts messages."""

    def __init__(
        self, namespace: str, cameras: tuple[str, ...], *, lockstep: bool, **options: object,
    ) -> None:
        """Subscribe to a robot.

        Args:
            namespace: The robot's.
            cameras: Those to count and keep images of.
            lockstep: Whether it offers its streams reliably, as it does in lockstep.
            options: For the node.
        """
        super().__init__('episode_runner', namespace=namespace, **options)
        self.ticks, self.executed, self.steps = Stream(), Stream(), Stream()
        self.missing_images = dict.fromkeys(cameras, 0)
        self._announced: dict[str, set[int]] = {name: set() for name in cameras}
        self._arrived: dict[str, set[int]] = {name: set() for name in cameras}
        self._frames: dict[str, list[bytes]] = {name: [] for name in cameras}
        self._driven = False
        self._clipped = 0
        self._first_ticks: dict[int, int] = {}
        self._wanted = -1
        self._reward: Reward | None = None
        self._heard = time.monotonic()
        self.create_subscription(Tick, 'tick', self._on_tick, RECORD)
        self.create_subscription(ExecutedCommand, 'executed_command', self._on_executed, RECORD)
        self.create_subscription(
            ControlStep, 'control_step', self._on_step, RECORD)
        self.create_subscription(Reward, 'reward', self._on_reward, RECORD)
        for name in cameras:
            self.create_subscription(
                CompressedImage, f'{name}/image_raw/compressed', partial(self._on_image, name),
                RECORD if lockstep else SENSOR_RECORD)
        self._reset = self.create_client(Reset, 'reset')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)

    def _on_tick(self, message: Tick) -> None:
        if message.tick < self.ticks.last:
            # A driver that was started anew counts anew.
            self._first_ticks.clear()
        self.ticks.take(message.tick)
        self._heard = time.monotonic()
        self._first_ticks.setdefault(message.reset_count, message.tick)
        if message.reset_count == self._wanted:
            for camera, stamp in zip(message.cameras, message.image_stamps):
                self._announced[camera].add(to_ns(stamp))

    def _on_step(self, message: ControlStep) -> None:
        self.steps.take(message.tick)
        # The arbiter answers ticks also when nobody drives; those hold.
        self._driven = message.source not in (ControlStep.SOURCE_HOLD, ControlStep.SOURCE_ESTOP)

    def _on_executed(self, message: ExecutedCommand) -> None:
        self.executed.take(message.tick)
        # Blending at the start of an episode is meant; other clips change what was asked.
        if any(clip & ~ExecutedCommand.CLIP_BLEND for clip in message.clips):
            self._clipped += 1

    def _on_reward(self, message: Reward) -> None:
        # The simulator's verdict: an operator's label does not end an episode here.
        if message.terminal and message.judge == Reward.JUDGE_SIMULATOR:
            self._reward = message

    def _verdict(self) -> Reward | None:
        """Return the verdict of the wanted episode, None before it."""
        first = self._first_ticks.get(self._wanted)
        if first is None or self._reward is None or self._reward.tick < first:
            return None
        return self._reward

    def _on_image(self, camera: str, message: CompressedImage) -> None:
        self._arrived[camera].add(to_ns(message.header.stamp))
        self._frames[camera].append(bytes(message.data))

    def wait_ready(self, *, commanded: bool, watched: bool = False) -> None:
        """Wait until the robot ticks and can be reset.

        Args:
            commanded: Whether somebody drives it, who must be in control first.
            watched: Whether the scripted operator watches it, who must have a pad in hand first.

        Raises:
            BringupError: It does not, within a minute.
        """
        joy = Latest(self, Joy, 'joy') if watched else None
        until = time.monotonic() + _READY_SECONDS
        while time.monotonic() < until:
            with signals_held():
                self._executor.spin_once(timeout_sec=0.1)
            driven = self._driven or not commanded
            driven = driven and (joy is None or joy.get() is not None)
            if self.ticks.received and driven and self._reset.service_is_ready():
                return
        raise BringupError(
            f'no tick from {self.get_namespace()} within {_READY_SECONDS:g} s; is another fleet '
            'on this ROS_DOMAIN_ID, or did the driver fail? See its log')

    def run(self, seed: int, progress: Callable[[int], None]) -> EpisodeResult:
        """Run the episode of a seed to its end.

        Args:
            seed: Of the scene.
            progress: Called now and then with the steps so far.

        Raises:
            BringupError: The robot refuses the reset or falls silent.
        """
        future = self._reset.call_async(Reset.Request(seed=seed))
        began = time.monotonic()
        self._heard = began
        while not future.done():
            with signals_held():
                self._executor.spin_once(timeout_sec=0.1)
            self._check_silence()
        answer = future.result()
        if answer is None or not answer.success:
            reason = 'no answer' if answer is None else answer.message
            raise BringupError(f'the robot refused to reset to seed {seed}: {reason}')
        self._wanted, self._clipped = answer.reset_count, 0
        for camera, frames in self._frames.items():
            frames.clear()
            self._announced[camera].clear()
        first = self.executed.received
        while (reward := self._verdict()) is None:
            with signals_held():
                self._executor.spin_once(timeout_sec=0.1)
            progress(self.executed.received - first)
            self._check_silence()
        wall_seconds = time.monotonic() - began
        self._count_missing_images()
        # By the tick numbers: on a busy machine this node hears of things late.
        steps = reward.tick - self._first_ticks[self._wanted] + 1
        return EpisodeResult(
            seed, answer.instruction, reward.terminal == Reward.TERMINAL_SUCCESS, reward.detail,
            steps, steps / RATE, wall_seconds, self._clipped,
            {name: list(frames) for name, frames in self._frames.items()})

    def _count_missing_images(self) -> None:
        """Count images that ticks announced and that have not arrived shortly after."""
        announced = {name: set(stamps) for name, stamps in self._announced.items()}
        until = time.monotonic() + _LATE_SECONDS
        while time.monotonic() < until and any(
                announced[name] - self._arrived[name] for name in announced):
            with signals_held():
                self._executor.spin_once(timeout_sec=0.05)
        for name, stamps in announced.items():
            self.missing_images[name] += len(stamps - self._arrived[name])
            self._arrived[name].clear()

    def _check_silence(self) -> None:
        if time.monotonic() - self._heard > _SILENCE_SECONDS:
            raise BringupError(
                f"the robot has not ticked for {_SILENCE_SECONDS:g} s; see the driver's log")
