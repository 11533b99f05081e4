# SPDX-License-Identifier: Apache-2.0
"""A node that sends the policies of a learner to the fleet, signed."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from rclpy.duration import Duration
from rclpy.node import Node

from lwd_learner_bridge.errors import OfferError
from lwd_learner_bridge.fleet import Fleet
from lwd_learner_bridge.offers import FOLDER, OfferConfig, Offers
from lwd_learner_bridge.policy_messages import manifest_message, part_message
from lwd_learner_bridge.publisher import Publisher, SendConfig
from lwd_learner_bridge.rollout import Rollout, RolloutConfig
from lwd_msgs.msg import Episode, PolicyManifest, PolicyPart, PolicyStatus
from lwd_msgs.srv import FetchParts
from lwd_policy.errors import PolicyError, SignatureError
from lwd_policy.manifest import Manifest
from lwd_policy.published import Published
from lwd_policy.signature import SigningKey
from lwd_ros.diagnostics import ERROR, OK, WARN, Diagnostics, Health
from lwd_ros.errors import ParameterError
from lwd_ros.parameters import declare
from lwd_ros.process import run
from lwd_ros.qos import LATCHED, PARTS, RECORD

MANIFEST, PART = '/lwd/policy/manifest', '/lwd/policy/parts'
FETCH_PARTS = '/lwd/policy/fetch_parts'
_STATUS_TYPE = 'lwd_msgs/msg/PolicyStatus'
_PATIENCE, _IMPATIENCE = 1.0, 0.02
_DISTRUST = 30.0


@dataclass(frozen=True)
class PublisherConfig:
    """Parameters of the publisher."""

    published: str = 'runs/learner/published'
    """Folder that the learner publishes policies in."""
    signing_key: str = ''
    """Private key, as `lwd keys new` makes it; empty to send unsigned policies, which robots
    refuse unless they are told otherwise."""
    keep: int = field(default=50, metadata={'range': (2, 1_000_000)})
    """Weights that stay in the folder, the newest ones; cards stay for ever."""
    silence: float = field(default=10.0, metadata={'range': (0.1, 3600.0)})
    """How long a robot may say nothing before it no longer counts, s."""
    poll: float = field(default=0.1, metadata={'range': (0.001, 60.0)})
    """How often the folder is looked at, s."""
    offers: OfferConfig = field(default_factory=OfferConfig)
    """How payloads are made."""
    send: SendConfig = field(default_factory=SendConfig)
    """How they are sent."""
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    """How a policy goes to the fleet in stages."""


class PublisherNode(Node):
    """One a fleet."""

    def __init__(self, **options: object) -> None:
        """Start to send once there is no other publisher.

        Raises:
            ParameterError: The key cannot be read.
        """
        super().__init__('policy_publisher', **options)
        self.config = config = declare(self, PublisherConfig)
        try:
            key = SigningKey.load(Path(config.signing_key)) if config.signing_key else None
        except SignatureError as error:
            raise ParameterError(f'parameter signing_key: {error}') from error
        if key is None:
            self.get_logger().warning('policies are not signed: signing_key is empty')
        self._key = key
        folder = Path(config.published)
        self._fleet = Fleet(silence=config.silence)
        self._rollout = Rollout(config.rollout)
        self.publisher = Publisher(
            Published(folder), Offers(folder / FOLDER, key, config.offers), self._fleet, self,
            rollout=self._rollout, config=config.send, on_change=self.get_logger().info)
        self._manifests = self.create_publisher(PolicyManifest, MANIFEST, LATCHED)
        self._parts = self.create_publisher(PolicyPart, PART, PARTS)
        self._followed: set[str] = set()
        self._running_at_start: dict[str, tuple[str, str]] = {}
        self._trouble = ''
        self._parts_sent = self._bytes_sent = 0
        self._distrust_until = 0.0
        self._alone = self._was_alone = False
        self._stop = threading.Event()
        self._census = self.create_timer(0.5, self._look_around)
        self._diagnostics = Diagnostics(self, self._health)
        self._thread = threading.Thread(target=self._work, name='publisher', daemon=True)
        self._thread.start()

    def manifest(self, manifest: Manifest) -> None:
        """Latch a manifest."""
        self._manifests.publish(manifest_message(manifest))

    def part(self, manifest: Manifest, index: int, data: bytes) -> None:
        """Send a part."""
        self._parts.publish(part_message(manifest, index, data))
        self._parts_sent += 1
        self._bytes_sent += len(data)

    def flush(self) -> None:
        """Wait until robots have what was sent; not long for one that does not answer any more."""
        patience = _IMPATIENCE if time.monotonic() < self._distrust_until else _PATIENCE
        if not self._parts.wait_for_all_acked(Duration(seconds=patience)):
            # A robot that was switched off stays in the graph for a while; the others go on, and
            # who missed something asks for it.
            self._distrust_until = time.monotonic() + _DISTRUST

    def listeners(self) -> int:
        """Return how many hear parts."""
        return int(self._parts.get_subscription_count())

    def _work(self) -> None:
        published = self.publisher.published
        while not self._stop.is_set():
            if not self._alone:
                self._stop.wait(0.05)
                continue
            try:
                before = self.publisher.current
                self.publisher.step(self.config.poll)
                if self.publisher.current is not before:
                    published.keep(self.config.keep)
                self._trouble = ''
            except (OfferError, PolicyError, OSError) as error:
                if str(error) != self._trouble:
                    self.get_logger().error(str(error))
                self._trouble = str(error)
                self._stop.wait(max(1.0, self.config.poll))

    def _look_around(self) -> None:
        """Hear robots that are new; start to send when there is no other publisher."""
        # Twice in a row, because the graph is not known at once.
        alone = self.count_publishers(MANIFEST) <= 1
        if alone and self._was_alone and not self._alone:
            # Not before: a robot would hear from a silent publisher that there is nothing.
            self.create_service(FetchParts, FETCH_PARTS, self._on_fetch)
            self._alone = True
        self._was_alone = alone
        for topic, kinds in self.get_topic_names_and_types():
            if _STATUS_TYPE in kinds and topic not in self._followed:
                self._followed.add(topic)
                robot = topic.rpartition('/')[0]
                self.create_subscription(
                    PolicyStatus, topic,
                    lambda message, robot=robot: self._on_status(robot, message), LATCHED)
                self.create_subscription(
                    Episode, f'{robot}/episode',
                    lambda message, robot=robot: self._on_episode(robot, message), RECORD)

    def _on_status(self, robot: str, message: PolicyStatus) -> None:
        self._fleet.report(
            robot, message.running_version, message.stored_versions, message.refused_version)

    def _on_episode(self, robot: str, message: Episode) -> None:
        running = self._fleet.running(robot)
        if message.state == Episode.STATE_RUNNING:
            self._running_at_start.setdefault(robot, (message.episode_id, running))
            if self._running_at_start[robot][0] != message.episode_id:
                self._running_at_start[robot] = (message.episode_id, running)
        elif message.state == Episode.STATE_ENDED and message.label in (
                Episode.LABEL_SUCCESS, Episode.LABEL_FAILURE, Episode.LABEL_TIMEOUT):
            begun = self._running_at_start.pop(robot, ('', ''))
            if running and begun == (message.episode_id, running):
                self._rollout.outcome(running, success=message.label == Episode.LABEL_SUCCESS)

    def _on_fetch(
        self, request: FetchParts.Request, response: FetchParts.Response,
    ) -> FetchParts.Response:
        response.success, response.message, response.queued = self.publisher.request(
            request.version, request.payload_sha256, list(request.indices))
        return response

    def _health(self) -> Health:
        current = self.publisher.current
        values = {
            'version': current.version if current else '', 'update': current.update
            if current else 0, 'robots': len(self._fleet.live()), 'parts sent': self._parts_sent,
            'bytes sent': self._bytes_sent, 'signed': self._key is not None}
        if not self._thread.is_alive():
            return Health(ERROR, 'the thread that sends policies has ended; see the log, and '
                          'restart the node', values)
        if self._trouble:
            return Health(ERROR, self._trouble, values)
        others = self.count_publishers(MANIFEST) - 1
        if others > 0:
            return Health(
                ERROR, f'{others} more on {MANIFEST}; a fleet has one publisher: end the others, '
                'or give each fleet its own ROS_DOMAIN_ID' + (
                    '' if self._alone else '. Nothing is sent until then'), values)
        if self.publisher.staged:
            return Health(OK, f'first stage: {self._rollout.describe()}', values)
        if self._key is None:
            return Health(WARN, 'policies are not signed', values)
        return Health(OK, f'offers {current.version[:12]}' if current else 'nothing published yet',
                      values)

    def destroy_node(self) -> None:
        """End the thread first."""
        self._stop.set()
        self._thread.join(5.0)
        super().destroy_node()


def main() -> int:
    """Run the publisher as a process."""
    return run(PublisherNode)


if __name__ == '__main__':
    sys.exit(main())
