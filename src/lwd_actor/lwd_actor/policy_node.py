# SPDX-License-Identifier: Apache-2.0
"""A node that drives the robot by a policy: proposes a command for every tick to the arbiter."""

from __future__ import annotations

import sys

import torch
from rclpy.node import Node

from g1_driver.config import LOCKSTEP
from lwd_actor import messages
from lwd_actor.action_queue import Action
from lwd_actor.control import Control
from lwd_actor.errors import ObservationError
from lwd_actor.inference import Answer
from lwd_actor.pilot import Pilot
from lwd_actor.policies.base import ChunkPolicy
from lwd_actor.policies.source import source_of
from lwd_actor.policy_config import PolicyNodeConfig
from lwd_actor.policy_health import PolicyHealth
from lwd_actor.proposal import Proposal, Source
from lwd_actor.sight_feed import SightFeed
from lwd_actor.supply import Supply
from lwd_msgs.msg import ActionChunk, ControlStep, Tick
from lwd_policy.errors import LayoutError
from lwd_ros.convert import to_ns
from lwd_ros.diagnostics import Diagnostics, Health
from lwd_ros.parameters import declare
from lwd_ros.process import run
from lwd_ros.qos import COMMAND, RECORD

_SWITCH = 0.001
# A tick's own command may be out when the tick is taken here, the next one's may not.
_BEHIND = 2


class PolicyNode(Node):
    """Publishes policy_command, once a tick, and action_chunk, once an inference."""

    def __init__(self, **options: object) -> None:
        """Subscribe to the robot of this namespace; the policy is loaded beside."""
        super().__init__('policy', **options)
        self.config = declare(self, PolicyNodeConfig)
        source = source_of(self.config)
        torch.set_num_threads(self.config.threads)
        self._lockstep = self.config.mode == LOCKSTEP
        self.pilot = Pilot(
            self.config.pilot, synchronous=self._lockstep, answered=self._on_answer)
        self.control = Control()
        self._previous: ChunkPolicy | None = None
        self._pending: Tick | None = None
        self._wants_sight = False
        self._asked = False
        self._proposed: set[int] = set()
        self._trouble = self._misfit = ''
        self.answered = self.swaps = 0
        self._commands = self.create_publisher(ControlStep, 'policy_command', COMMAND)
        self._chunks = self.create_publisher(ActionChunk, 'action_chunk', RECORD)
        # Before the tick: when both are there, what it refers to is known first.
        self.feed = SightFeed(
            self, self.config.sight, instruction=self.config.instruction,
            reliable=self._lockstep, arrived=self._on_arrival)
        self.create_subscription(ControlStep, 'control_step', self._on_step, RECORD)
        self.create_subscription(Tick, 'tick', self._on_tick, RECORD)
        self._diagnostics = Diagnostics(self, self.health, hardware_id=self.config.robot)
        self.supply = Supply(source, retry=bool(self.config.remote))
        self._judge = PolicyHealth(self.pilot, self.supply, self.feed, self.control)

    # --- what comes in

    def _on_step(self, message: ControlStep) -> None:
        self.control.decided(
            message.tick, message.source, proposed=message.tick in self._proposed)
        if message.source == ControlStep.SOURCE_POLICY:
            self.pilot.queue.followed(message.chunk_id, message.chunk_index)
        self._proposed = {tick for tick in self._proposed if tick > message.tick}
        self._on_arrival()

    def _on_tick(self, message: Tick) -> None:
        if self._wants_sight:
            self._trouble = f'{self.feed.waiting()} did not come within its tick'
        if self._pending is not None:
            # Overtaken: nobody waits for its answer any more.
            self._answer(None)
        new_scene = self.feed.began(message)
        if new_scene:
            self.pilot.interrupt()
            self.control.restart()
            self._proposed.clear()
        self._pending, self._wants_sight, self._asked = message, False, False
        self._swap(new_scene)
        self._go_on()

    def _on_arrival(self) -> None:
        """See whether what came was what the present tick has been waiting for."""
        if self._pending is not None:
            self._go_on()
        elif self._wants_sight:
            self._show()

    # --- a tick

    def _go_on(self) -> None:
        """Answer the pending tick, unless it must wait."""
        tick = self._pending
        assert tick is not None  # noqa: S101  the callers have looked
        if not self._asked:
            if self._lockstep and not self._knows_control(tick):
                return
            self._asked = True
            contested = self.feed.contested() or self._overtaken(tick)
            whose = self.control.theirs(self.feed.executed)
            if contested or whose or self.control.ignored:
                self.pilot.interrupt()
            if contested or whose or self.pilot.policy is None:
                self._trouble = contested or self._trouble
                self._answer(None)
                return
            self._wants_sight = self.pilot.tick(tick.tick - 1 - self.control.tick)
        if self._wants_sight:
            self._show()
            if self._lockstep and self._wants_sight:
                return
        self._answer(self.pilot.act())

    def _knows_control(self, tick: Tick) -> bool:
        """Whether it is known who was in control in the tick before, where there was one."""
        first = self.feed.first_tick in (tick.tick, -1)
        return first or self.control.tick >= tick.tick - 1

    def _overtaken(self, tick: Tick) -> str:
        """Return that the robot went on without this node, as while it was stopped, or nothing.

        What was planned before is of the past; the ticks that piled up are no progress.
        """
        executed = self.feed.executed
        if executed is None or executed.tick < tick.tick + _BEHIND:
            return ''
        return (f'tick {tick.tick} comes when {executed.tick} is over: this node does not get the '
                'processor')

    def _show(self) -> None:
        """Show the policy the tick's sight, if it is complete."""
        trouble = self.feed.trouble()
        if trouble:
            self._trouble, self._wants_sight = trouble, False
            return
        try:
            sight = self.feed.sight()
        except ObservationError as error:
            self._trouble, self._wants_sight = str(error), False
            return
        if sight is not None:
            self._trouble, self._wants_sight = '', False
            self.pilot.show(sight)

    def _answer(self, action: Action | None) -> None:
        tick, self._pending = self._pending, None
        assert tick is not None  # noqa: S101  the callers have looked
        proposal = Proposal(tick.tick, Source.POLICY, None, messages.seen(tick))
        if action is not None:
            proposal = Proposal(
                tick.tick, Source.POLICY, action.command, proposal.seen, action.version,
                action.chunk, action.index)
            self._proposed.add(tick.tick)
        self._commands.publish(messages.control_step(proposal, to_ns(tick.header.stamp)))
        self.answered += 1

    # --- policies

    def _swap(self, new_scene: bool) -> None:
        if self.pilot.policy is not None and self.config.swap == 'episode' and not new_scene:
            return
        policy = self.supply.take()
        if policy is None:
            return
        self._previous, before = self.pilot.policy, self._previous
        if before is not None:
            before.close()
        self.feed.need(policy.needs)
        self.pilot.change(policy)
        self.swaps += 1
        self.get_logger().info(f'runs policy {policy.version[:12]}')

    def _on_answer(self, answer: Answer) -> None:
        question = answer.question
        if answer.error is not None:
            self._failed(question.policy, answer.error)
            return
        self._misfit = ''
        self._chunks.publish(messages.action_chunk(answer, self.pilot.chunks + 1))

    def _failed(self, policy: ChunkPolicy, error: Exception) -> None:
        """Put a policy out of use that cannot be followed; what ran before it comes back."""
        self._misfit = str(error)
        if isinstance(error, (ObservationError, LayoutError)) or policy is not self.pilot.policy:
            # What is shown does not fit; the policy itself may be all right.
            return
        self.get_logger().error(f'policy {policy.version[:12]}: {error}')
        self._misfit = ''
        self.supply.refuse(policy.version, str(error))
        back, self._previous = self._previous, None
        if back is not None:
            self.get_logger().warning(f'back to policy {back.version[:12]}')
            self.feed.need(back.needs)
        self.pilot.change(back)
        policy.close()

    def health(self) -> Health:
        """Return how the node is."""
        return self._judge(
            self._trouble or self.feed.trouble() or self._misfit, answered=self.answered,
            swaps=self.swaps)

    def destroy_node(self) -> None:
        """End the threads, then let go of the middleware."""
        self.supply.stop()
        self.pilot.close()
        if self._previous is not None:
            self._previous.close()
        super().destroy_node()


def main() -> int:
    """Run the policy as a process."""
    # The tick's thread must not wait the default 5 ms for the one that infers.
    sys.setswitchinterval(_SWITCH)
    return run(PolicyNode)


if __name__ == '__main__':
    sys.exit(main())
