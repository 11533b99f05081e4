# SPDX-License-Identifier: Apache-2.0
"""A node that takes policies onto a robot's shelf, watches the one that runs, and goes back.

It has a process of its own, at a lower priority: the shelf is all that it shares with whoever
infers, so that no tick waits for a download, a hash or a canary.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_srvs.srv import Trigger

from lwd_actor.errors import ReceptionError
from lwd_actor.proposal import Source
from lwd_actor.receiver_config import ReceiverNodeConfig, rank_of
from lwd_actor.receiver_health import health
from lwd_actor.reception.faults import FaultWatch
from lwd_actor.reception.judge import Judge
from lwd_actor.reception.messages import MANIFEST, manifest_of
from lwd_actor.reception.receiver import Receiver
from lwd_actor.reception.request import Request
from lwd_actor.reception.trial import Trial
from lwd_msgs.msg import (
    ActionChunk,
    ControlStep,
    ExecutedCommand,
    PolicyManifest,
    PolicyPart,
    PolicyStatus,
)
from lwd_msgs.srv import FetchParts, RollbackPolicy
from lwd_policy.errors import PolicyError, ShelfError
from lwd_policy.shelf import ShelfWriter
from lwd_policy.signature import TrustedKeys
from lwd_ros.diagnostics import Diagnostics, Health
from lwd_ros.errors import ParameterError
from lwd_ros.parameters import declare
from lwd_ros.process import run
from lwd_ros.qos import LATCHED, PARTS, RECORD

PART = '/lwd/policy/parts'
FETCH_PARTS = '/lwd/policy/fetch_parts'
# A publisher may latch a delta and full weights one right after the other.
_MANIFESTS = QoSProfile(
    depth=10, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_ANSWER_WITHIN = 2.0
# Blending after a take-over is no fault of a policy.
_CLIPS = (ExecutedCommand.CLIP_POSITION | ExecutedCommand.CLIP_VELOCITY
          | ExecutedCommand.CLIP_ACCELERATION | ExecutedCommand.CLIP_DISTANCE)


class ReceiverNode(Node):
    """Publishes policy_status; serves rollback_policy and unpin_policy."""

    def __init__(self, judge: Judge | None = None, **options: object) -> None:
        """Open the shelf and listen.

        Args:
            judge: What a policy must pass; None for the trial of the parameters.
            options: Of the node.

        Raises:
            ParameterError: There is no key, or the shelf cannot be opened.
        """
        super().__init__('policy_receiver', **options)
        self.config = config = declare(self, ReceiverNodeConfig)
        keys = self._keys(config)
        try:
            self._shelf = ShelfWriter(Path(config.shelf))
        except ShelfError as error:
            raise ParameterError(f'parameter shelf: {error}') from error
        self._watch = FaultWatch(config.faults)
        self.receiver = Receiver(
            self._shelf, keys, judge or Trial(config.trial), config=config.receiver,
            rank=config.rank or rank_of(config.robot), on_change=self._changed)
        self._ran: set[str] = set()
        self._trouble = ''
        self._asked: Any = None
        self._asked_until = 0.0
        self._fetch = self.create_client(FetchParts, FETCH_PARTS)
        self._status = self.create_publisher(PolicyStatus, 'policy_status', LATCHED)
        self.create_subscription(PolicyManifest, MANIFEST, self._on_manifest, _MANIFESTS)
        self.create_subscription(PolicyPart, PART, self._on_part, PARTS)
        self.create_subscription(ActionChunk, 'action_chunk', self._on_chunk, RECORD)
        self.create_subscription(ControlStep, 'control_step', self._on_step, RECORD)
        self.create_subscription(ExecutedCommand, 'executed_command', self._on_executed, RECORD)
        self.create_service(RollbackPolicy, 'rollback_policy', self._on_rollback)
        self.create_service(Trigger, 'unpin_policy', self._on_unpin)
        self._asking = self.create_timer(0.1, self._ask)
        self._beat = self.create_timer(1.0, self._publish_status)
        self._diagnostics = Diagnostics(self, self._health, hardware_id=config.robot)
        self._thread = threading.Thread(target=self._work, name='receiver', daemon=True)
        self._thread.start()
        self._publish_status()

    @staticmethod
    def _keys(config: ReceiverNodeConfig) -> TrustedKeys | None:
        if not config.require_signature:
            return None
        if not config.keys:
            raise ParameterError(
                'parameter keys is empty: policies are refused unless a trusted key signed them; '
                "give the folder of the learner's public key, made by `lwd keys new`")
        try:
            return TrustedKeys.load(Path(config.keys))
        except PolicyError as error:
            raise ParameterError(f'parameter keys: {error}') from error

    def _changed(self, text: str) -> None:
        if text.startswith(('refused', 'rolled back', 'fault')):
            self.get_logger().error(text)
        else:
            self.get_logger().info(text)

    def _work(self) -> None:
        going = True
        while going:
            going = self.receiver.work(timeout=0.5)

    def _on_manifest(self, message: PolicyManifest) -> None:
        try:
            self.receiver.manifest(manifest_of(message))
        except PolicyError as error:
            self.get_logger().error(str(error))
        self._ask()

    def _on_part(self, message: PolicyPart) -> None:
        self.receiver.part(
            message.version, message.payload_sha256, message.index, memoryview(message.data))

    def _on_chunk(self, message: ActionChunk) -> None:
        before = self._watch.version
        if before == self._shelf.choice().version != message.policy_version in self._ran:
            # It ran and was to go on: who infers found that it cannot be followed.
            self._judge(before, 'was put out of use by the policy node; its diagnostics say why')
        reason = self._watch.chunk(
            message.policy_version, message.inference_seconds,
            finite=bool(np.isfinite(np.asarray(message.positions)).all()))
        self._judge(message.policy_version, reason)
        if message.policy_version != before:
            self._ran.add(message.policy_version)
            self._publish_status()

    def _on_step(self, message: ControlStep) -> None:
        self._watch.step(
            message.tick,
            message.policy_version if message.source == ControlStep.SOURCE_POLICY else '',
            empty=message.source == int(Source.HOLD) and bool(message.episode_id))

    def _on_executed(self, message: ExecutedCommand) -> None:
        clipped = bool((np.frombuffer(message.clips, dtype=np.uint8) & _CLIPS).any())
        self._judge(self._watch.version, self._watch.executed(message.tick, clipped=clipped))

    def _judge(self, version: str, reason: str) -> None:
        if not reason:
            return
        try:
            self.receiver.fault(version, reason)
        except PolicyError as error:
            self.get_logger().error(str(error), throttle_duration_sec=10.0)

    def _ask(self) -> None:
        """Ask the publisher for what is missing, one question at a time."""
        if self._asked is not None and not self._asked.done():
            if time.monotonic() < self._asked_until:
                return
            # Question or answer is lost: the publisher ended, or did not know of this robot yet.
            self._fetch.remove_pending_request(self._asked)
        wanted = self.receiver.wanted() if self._fetch.service_is_ready() else None
        if wanted is None:
            return
        self._asked = self._fetch.call_async(FetchParts.Request(
            robot=self.config.robot, version=wanted.version,
            payload_sha256=wanted.payload_sha256, indices=list(wanted.indices)))
        self._asked_until = time.monotonic() + _ANSWER_WITHIN
        self._asked.add_done_callback(lambda future: self._answered(wanted, future.result()))

    def _answered(self, wanted: Request, answer: FetchParts.Response | None) -> None:
        if answer is not None and not answer.success:
            self.get_logger().info(f'parts are not sent again: {answer.message}')
            self.receiver.unavailable(wanted)

    def _on_rollback(
        self, request: RollbackPolicy.Request, response: RollbackPolicy.Response,
    ) -> RollbackPolicy.Response:
        try:
            chosen = self.receiver.roll_back(request.version, pin=request.pin)
            response.success, response.message = True, f'{chosen} is to run'
        except (PolicyError, ReceptionError) as error:
            response.success, response.message = False, str(error)
        response.running_version = self._watch.version
        self._publish_status()
        return response

    def _on_unpin(
        self, request: Trigger.Request, response: Trigger.Response,
    ) -> Trigger.Response:
        del request
        try:
            response.success, response.message = True, f'{self.receiver.unpin()} is to run'
        except PolicyError as error:
            response.success, response.message = False, str(error)
        self._publish_status()
        return response

    def _publish_status(self) -> None:
        receiver = self.receiver
        try:
            choice, stored = self._shelf.choice(), self._shelf.versions()
        except ShelfError as error:
            self._trouble = str(error)
            return
        self._trouble = ''
        pending, received, total = receiver.pending()
        if not pending and choice.version != self._watch.version:
            pending = choice.version
        message = PolicyStatus(
            robot=self.config.robot, running_version=self._watch.version,
            pending_version=pending, stored_versions=stored, pinned=choice.pinned,
            parts_received=received, parts_total=total, refused=receiver.refused,
            refused_version=receiver.last_refusal[0], refused_reason=receiver.last_refusal[1],
            starved_ticks=self._watch.starved)
        message.inference_seconds_p50, message.inference_seconds_p99 = (
            self._watch.inference_seconds())
        message.header.stamp = self.get_clock().now().to_msg()
        self._status.publish(message)

    def _health(self) -> Health:
        return health(
            self.config, self.receiver, self._shelf, self._watch, trouble=self._trouble,
            working=self._thread.is_alive(), publishers=self.count_publishers(MANIFEST))

    def destroy_node(self) -> None:
        """End the thread first."""
        self.receiver.close()
        self._thread.join(10.0)
        self._shelf.close()
        super().destroy_node()


def main() -> int:
    """Run the receiver as a process."""
    def make() -> ReceiverNode:
        torch.set_num_threads(1)
        node = ReceiverNode()
        os.nice(node.config.niceness)
        return node

    return run(make, events=True)


if __name__ == '__main__':
    sys.exit(main())
