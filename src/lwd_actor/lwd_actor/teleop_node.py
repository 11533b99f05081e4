# SPDX-License-Identifier: Apache-2.0
"""A node that turns a pad's joy messages, or leader arms, into the operator's commands."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import numpy as np
from rclpy.client import Client
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import JointState, Joy
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from lwd_actor import messages
from lwd_actor.errors import PadError, TeleopError
from lwd_actor.intervention import InterventionLog
from lwd_actor.proposal import Proposal, Source
from lwd_actor.rendezvous import Rendezvous
from lwd_actor.robot_feed import RobotFeed
from lwd_actor.teleop.config import LEADER, TeleopConfig
from lwd_actor.teleop.controls import Event
from lwd_actor.teleop.pad_file import load_pad
from lwd_actor.teleop.teleop import RobotNow, Teleop
from lwd_msgs.msg import ControlStep, Intervention, Reward, Tick
from lwd_msgs.srv import Reset
from lwd_ros.convert import to_ns, to_time
from lwd_ros.diagnostics import ERROR, OK, WARN, Diagnostics, Health
from lwd_ros.errors import ParameterError
from lwd_ros.parameters import declare
from lwd_ros.process import run
from lwd_ros.qos import COMMAND, RECORD, SENSOR

_JOY, _EXECUTED = 'joy', 'executed_command'


@dataclass(frozen=True)
class TeleopNodeConfig:
    """Parameters of the teleoperation node."""

    robot: str = 'g1_01'
    """The robot's name; goes into diagnostics."""
    pad: str = 'gamepad'
    """gamepad, spacemouse, operator (the scripted one's), or the path of a pad's YAML file."""
    operator_id: str = 'operator'
    """Who is at the pad; recorded with every intervention."""
    wait: float = field(default=0.0, metadata={'range': (0.0, 60.0)})
    """How long a tick waits for a joy message with its stamp, s of wall time; 0 takes the newest.
    For the scripted operator in lockstep, so that the same seed gives the same episode."""
    control: TeleopConfig = field(default_factory=TeleopConfig)
    """Speeds, limits, timeouts."""


class TeleopNode(Node):
    """Publishes teleop_command and intervention, a command or none at every tick."""

    def __init__(self, **options: object) -> None:
        """Subscribe to the robot of this namespace and to a pad.

        Raises:
            ParameterError: The pad's file cannot be right.
        """
        super().__init__('teleop', **options)
        self.config = declare(self, TeleopNodeConfig)
        try:
            pad = load_pad(self.config.pad)
        except PadError as error:
            raise ParameterError(str(error)) from error
        self.teleop = Teleop(pad, self.config.control)
        self._log = InterventionLog()
        self._rendezvous = Rendezvous()
        self._tick: Tick | None = None
        self._pending = False
        self._ready = False
        """Whether the robot's posture is known since the last reset."""
        self._waist = np.zeros(4)
        self._trouble = ''
        self._commands = self.create_publisher(ControlStep, 'teleop_command', COMMAND)
        self._interventions = self.create_publisher(Intervention, 'intervention', RECORD)
        self._rewards = self.create_publisher(Reward, 'reward', RECORD)
        self._stops = self.create_publisher(Bool, 'emergency_stop', RECORD)
        self._estop = self.create_client(Trigger, 'estop')
        self._reset = self.create_client(Reset, 'reset')
        # Before the tick: when both are there, what the driver did last is known first.
        self._robot = RobotFeed(self)
        self.create_subscription(Joy, 'joy', self._on_joy, RECORD)
        if self.config.control.mode == LEADER:
            self.create_subscription(
                JointState, self.config.control.leader_topic, self._on_leader, SENSOR)
        self.create_subscription(Tick, 'tick', self._on_tick, RECORD)
        self._deadline = self.create_timer(
            self.config.wait or 1.0, self._too_late, autostart=False)
        self._census = self.create_timer(0.2, self._look_around)
        self._diagnostics = Diagnostics(self, self._health, hardware_id=self.config.robot)

    @property
    def _now_ns(self) -> int:
        """The robot's time: that of the newest tick."""
        return 0 if self._tick is None else to_ns(self._tick.header.stamp)

    def _on_tick(self, message: Tick) -> None:
        if self._pending:
            self._answer()
        if self._tick is not None and message.tick <= self._tick.tick:
            self._rendezvous.start_over()
        self._tick, self._pending = message, True
        if self._robot.began(message):
            self._ready = False
        if not self._answer_if_complete():
            self._deadline.reset()

    def _on_joy(self, message: Joy) -> None:
        try:
            self.teleop.controls.take(message.axes, message.buttons, self._now_ns)
        except PadError as error:
            if str(error) != self._trouble:
                self.get_logger().error(str(error))
            self._trouble = str(error)
            return
        self._trouble = ''
        for event in self.teleop.controls.events():
            self._act_on(event)
        self._rendezvous.hear(_JOY, to_ns(message.header.stamp))
        self._answer_if_complete()

    def _on_leader(self, message: JointState) -> None:
        try:
            self.teleop.leader.take(message.name, message.position, self._now_ns)
        except TeleopError as error:
            self.get_logger().error(str(error), throttle_duration_sec=5.0)

    def _wanted(self) -> dict[str, int]:
        """Return whom the tick waits for, and for which stamp or number."""
        if self.config.wait <= 0.0 or self._tick is None:
            return {}
        wanted = {_JOY: self._now_ns}
        executed = self._robot.executed
        if self._ready and self._tick.tick > 0 and executed is not None:
            self._rendezvous.hear(_EXECUTED, executed.tick)
            wanted[_EXECUTED] = self._tick.tick - 1
        return wanted

    def _answer_if_complete(self) -> bool:
        if not self._pending or self._rendezvous.missing(self._wanted()):
            return False
        self._answer()
        return True

    def _too_late(self) -> None:
        self._deadline.cancel()
        if self._pending:
            self._rendezvous.go_on(self._wanted())
            self._answer()

    def _answer(self) -> None:
        assert self._tick is not None  # noqa: S101  the callers have looked
        self._deadline.cancel()
        self._pending = False
        tick, now = self._tick, self._now_ns
        if self.teleop.active or not self._ready:
            joints = self._robot.joints(tick)
            if joints is not None:
                self._waist = joints[16:]
                if not self._ready:
                    self.teleop.restart(joints[:16])
                    self._ready = True
        command = self._robot.command(tick)
        positions = None
        if self._ready and command is not None:
            positions = self.teleop.step(RobotNow(command, self._waist), now)
        self._commands.publish(messages.control_step(
            Proposal(tick.tick, Source.TELEOP, positions, messages.seen(tick)), now,
            episode_id=self._robot.episode_id))
        told = self._log.update(
            active=positions is not None, reason=self.teleop.controls.reason,
            episode_id=self._robot.episode_id, now_ns=now)
        if told is not None:
            self._interventions.publish(messages.intervention(
                told, now, operator_id=self.config.operator_id,
                device=self.teleop.controls.pad.device))

    def _act_on(self, event: Event) -> None:
        if event is Event.ESTOP:
            # The topic is heard by all at once; the service answers whether the driver did.
            self._stops.publish(Bool(data=True))
            self._call(self._estop, Trigger.Request(), 'estop')
        elif event is Event.RESET:
            self._call(self._reset, Reset.Request(seed=-1), 'reset')
        elif self._tick is not None:
            success = event is Event.SUCCESS
            reward = Reward(
                tick=self._tick.tick, episode_id=self._robot.episode_id, reward=float(success),
                score=float(success), judge=Reward.JUDGE_OPERATOR,
                terminal=Reward.TERMINAL_SUCCESS if success else Reward.TERMINAL_FAILURE,
                detail=f'{self.config.operator_id} said so')
            reward.header.stamp = to_time(self._now_ns)
            reward.header.frame_id = messages.BASE
            self._rewards.publish(reward)

    def _call(self, client: Client, request: object, name: str) -> None:
        if not client.service_is_ready():
            self.get_logger().error(f'no service {name}: is the driver running?')
            return

        def answered(future: Future) -> None:
            answer = future.result()
            if answer is None or not answer.success:
                why = 'no answer' if answer is None else answer.message
                self.get_logger().error(f'{name} was refused: {why}')

        client.call_async(request).add_done_callback(answered)

    def _look_around(self) -> None:
        self._rendezvous.expect(
            _JOY, self.count_publishers(self.resolve_topic_name('joy')) > 0)

    def _health(self) -> Health:
        controls, now = self.teleop.controls, self._now_ns
        values = {
            'pad': controls.pad.device, 'in control': self.teleop.active,
            'enabled': controls.enabled(now), 'arm': controls.arm,
            'interventions': self._log.state.number}
        if self._trouble:
            return Health(ERROR, self._trouble, values)
        if controls.lost(now):
            return Health(ERROR if self.teleop.active else WARN,
                          'no joy messages: is the pad connected, and joy_node running?', values)
        if self.config.control.mode == LEADER and self.teleop.leader.lost(now):
            return Health(WARN, f'nothing on {self.config.control.leader_topic}', values)
        return Health(OK, 'in control' if self.teleop.active else 'standing by', values)


def main() -> int:
    """Run teleoperation as a process."""
    return run(TeleopNode)


if __name__ == '__main__':
    sys.exit(main())
