# SPDX-License-Identifier: Apache-2.0
"""A node that answers every tick of the driver with the command of who is in control."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from rclpy.node import Node
from std_msgs.msg import Bool
from trajectory_msgs.msg import JointTrajectory

from g1_driver.messages import joint_command
from lwd_actor import messages
from lwd_actor.arbiter import Arbiter, TickInfo
from lwd_actor.errors import ProposalError
from lwd_actor.proposal import Source
from lwd_actor.rendezvous import Rendezvous
from lwd_actor.robot_feed import RobotFeed
from lwd_msgs.msg import ControlStep, ExecutedCommand, Tick
from lwd_ros.convert import to_ns
from lwd_ros.diagnostics import ERROR, OK, WARN, Diagnostics, Health
from lwd_ros.parameters import declare
from lwd_ros.process import run
from lwd_ros.qos import COMMAND, RECORD

# The driver takes so many ticks at most to answer an emergency stop.
_STOP_TICKS = 10
_WAIT = 0.004
_TELEOP, _POLICY = 'teleop', 'policy'


@dataclass(frozen=True)
class ArbiterConfig:
    """Parameters of the arbiter node."""

    robot: str = 'g1_01'
    """The robot's name; goes into diagnostics."""
    wait: float = field(default=0.0, metadata={'range': (0.0, 60.0)})
    """How long a tick waits for teleop_command and policy_command, s of wall time; 0 for 4 ms.
    In real time the driver follows what comes within 7 ms; in lockstep it waits itself: stay a
    little below its lockstep_timeout."""


class ArbiterNode(Node):
    """Publishes joint_command and control_step, once a tick."""

    def __init__(self, **options: object) -> None:
        """Subscribe to the robot of this namespace."""
        super().__init__('arbiter', **options)
        self.config = declare(self, ArbiterConfig)
        self.arbiter = Arbiter(on_change=self._changed)
        self._rendezvous = Rendezvous()
        self._pending: Tick | None = None
        self._tick = -1
        self._stopped_at: int | None = None
        self._refused = self._contested = ''
        self._answered = 0
        self._commands = self.create_publisher(JointTrajectory, 'joint_command', COMMAND)
        self._steps = self.create_publisher(ControlStep, 'control_step', RECORD)
        # Before the tick: when both are there, what the driver did last is known first.
        self._robot = RobotFeed(self)
        self.create_subscription(ControlStep, 'teleop_command', self._on_teleop, COMMAND)
        self.create_subscription(ControlStep, 'policy_command', self._on_policy, COMMAND)
        self.create_subscription(Bool, 'emergency_stop', self._on_emergency_stop, RECORD)
        self.create_subscription(Tick, 'tick', self._on_tick, RECORD)
        self._deadline = self.create_timer(
            self.config.wait or _WAIT, self._too_late, autostart=False)
        self._census = self.create_timer(0.2, self._look_around)
        self._diagnostics = Diagnostics(self, self._health, hardware_id=self.config.robot)

    def _on_tick(self, message: Tick) -> None:
        if self._pending is not None:
            self._answer()
        if message.tick <= self._tick:
            self._rendezvous.start_over()
        self._tick = message.tick
        self._robot.began(message)
        self._pending = message
        if not self._answer_if_complete():
            self._deadline.reset()

    def _on_teleop(self, message: ControlStep) -> None:
        self._take(_TELEOP, message)

    def _on_policy(self, message: ControlStep) -> None:
        self._take(_POLICY, message)

    def _take(self, name: str, message: ControlStep) -> None:
        try:
            proposal = messages.proposal(message)
            if (proposal.source is Source.TELEOP) != (name == _TELEOP):
                raise ProposalError(
                    f'{proposal.source.name.lower()} proposes a command on {name}_command')
            self.arbiter.propose(proposal)
            self._refused = ''
        except ProposalError as error:
            # As if it had said nothing: what it said before stands in for a while.
            if str(error) != self._refused:
                self.get_logger().error(str(error))
            self._refused = str(error)
        self._rendezvous.hear(name, message.tick)
        self._answer_if_complete()

    def _on_emergency_stop(self, message: Bool) -> None:
        if message.data and self._pending is None and self._robot.executed is not None:
            self._stopped_at = self._robot.executed.tick
        elif message.data and self._pending is not None:
            self._stopped_at = self._pending.tick
            self._answer()

    def _answer_if_complete(self) -> bool:
        if self._pending is None:
            return False
        tick = self._pending.tick
        missing = self._rendezvous.missing({_TELEOP: tick, _POLICY: tick})
        # A policy need not be heard where it has no say.
        in_control = self.arbiter.operator_in_control and _TELEOP not in missing
        if missing and not in_control and not self._stopped(tick):
            return False
        self._answer()
        return True

    def _too_late(self) -> None:
        self._deadline.cancel()
        if self._pending is not None:
            tick = self._pending.tick
            self._rendezvous.go_on({_TELEOP: tick, _POLICY: tick})
            self._answer()

    def _answer(self) -> None:
        assert self._pending is not None  # noqa: S101  the callers have looked
        self._deadline.cancel()
        message, self._pending = self._pending, None
        known = self._robot.command(message)
        decision = self.arbiter.decide(
            TickInfo(message.tick, message.reset_count, messages.seen(message)),
            command=known, estopped=self._stopped(message.tick))
        stamp = to_ns(message.header.stamp)
        if decision.positions is not None:
            self._commands.publish(joint_command(decision.positions, stamp))
        self._steps.publish(messages.control_step(
            decision, stamp, episode_id=self._robot.episode_id,
            step_index=self._robot.step_index(message)))
        self._answered += 1

    def _stopped(self, tick: int) -> bool:
        executed = self._robot.executed
        if executed is not None and executed.state == ExecutedCommand.STATE_ESTOP:
            self._stopped_at = None
            return True
        # The stop was heard of before the driver has said that it stands.
        return self._stopped_at is not None and 0 <= tick - self._stopped_at < _STOP_TICKS

    def _changed(self, before: Source, after: Source) -> None:
        self.get_logger().info(f'in control: {after.name.lower()}, before: {before.name.lower()}')

    def _look_around(self) -> None:
        self._contested = ''
        for name in (_TELEOP, _POLICY):
            topic = self.resolve_topic_name(f'{name}_command')
            count = self.count_publishers(topic)
            self._rendezvous.expect(name, count > 0)
            if count > 1:
                self._contested = f'{count} publishers on {topic}; stop all but one'

    def _health(self) -> Health:
        values = {
            'source': self.arbiter.source.name.lower(), 'generation': self.arbiter.generation,
            'answered': self._answered,
            **{f'{name} waited for in vain': count
               for name, count in self._rendezvous.missed.items()}}
        if self._contested or self._refused:
            return Health(ERROR, self._contested or self._refused, values)
        if self._rendezvous.silent:
            return Health(
                WARN, f'{", ".join(self._rendezvous.silent)} does not answer ticks', values)
        return Health(OK, f'in control: {self.arbiter.source.name.lower()}', values)


def main() -> int:
    """Run the arbiter as a process."""
    return run(ArbiterNode)


if __name__ == '__main__':
    sys.exit(main())
