# SPDX-License-Identifier: Apache-2.0
"""A node that uploads a robot's closed segments while it records."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from rclpy.node import Node

from lwd_learner_bridge import messages
from lwd_learner_bridge.errors import BridgeError
from lwd_learner_bridge.store.notice import Notice
from lwd_learner_bridge.store.objects import ObjectStore
from lwd_learner_bridge.upload.config import UploadConfig
from lwd_learner_bridge.upload.uploader import Stopped, Uploader
from lwd_learner_bridge.worker import Worker
from lwd_msgs.msg import Episode, SegmentUploaded
from lwd_ros.diagnostics import ERROR, OK, WARN, Diagnostics, Health
from lwd_ros.parameters import declare
from lwd_ros.process import run
from lwd_ros.qos import LATCHED


@dataclass(frozen=True)
class UploaderConfig:
    """Parameters of the uploader node."""

    robot: str = 'g1_01'
    """The robot's name: its folder in the spool, and in the store."""
    spool: str = 'spool'
    """Folder that the recorder writes to."""
    store: str = 'store'
    """Where to: a folder, or s3://bucket/prefix. Keys come from the environment
    (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, ...) or ~/.aws/credentials, never
    from here."""
    timeout: float = field(default=60.0, metadata={'range': (0.1, 3600.0)})
    """How long a request to the store may take, s: two parts of 5 MB at once must get through."""
    upload: UploadConfig = field(default_factory=UploadConfig)
    """How it is done."""


class UploaderNode(Node):
    """Publishes SegmentUploaded for each segment that is in the store."""

    def __init__(self, **options: object) -> None:
        """Begin to upload."""
        super().__init__('uploader', **options)
        self.config = declare(self, UploaderConfig)
        self._announcements = self.create_publisher(
            SegmentUploaded, '/lwd/segments', messages.SEGMENTS)
        self._worker = Worker(
            self._make, (BridgeError, OSError, Stopped), self.get_logger().warning)
        # A recorder says so when it has closed a segment: that saves the wait for the next look.
        self.create_subscription(Episode, 'episode', self._on_episode, LATCHED)
        self._diagnostics = Diagnostics(self, self._health, hardware_id=self.config.robot)

    def _make(self) -> Uploader:
        config = self.config
        objects = ObjectStore(config.store, timeout=config.timeout)
        return Uploader(
            Path(config.spool).expanduser(), config.robot, objects, config.upload,
            announce=self._announce, report=self.get_logger().warning)

    def _announce(self, notice: Notice) -> None:
        self._announcements.publish(
            messages.segment_uploaded(notice, self.get_clock().now().nanoseconds))

    def _on_episode(self, _: Episode) -> None:
        self._worker.wake()

    def _health(self) -> Health:
        core = self._worker.core
        if core is None:
            return Health(ERROR, self._worker.failure or 'starting')
        config = self.config.upload
        values = {
            'episodes not confirmed': core.unsettled(), 'backlog, MB': core.backlog() // 10**6,
            'spool, MB': core.spool_bytes // 10**6, 'budget, MB': round(config.budget * 1e3)}
        if core.spool.problems:
            return Health(ERROR, next(iter(core.spool.problems.values())), values)
        if core.failure:
            return Health(WARN, core.failure, values)
        if core.unsettled() and core.spool_bytes > config.budget * 1e9:
            return Health(
                WARN, 'the spool exceeds its budget, and what is left is not confirmed', values)
        return Health(OK, f'{core.unsettled()} episodes to confirm', values)

    def destroy_node(self) -> None:
        """End the upload; what is cut off is taken up again by the next uploader."""
        if (core := self._worker.core) is not None:
            core.stop()
        if not self._worker.stop():
            self.get_logger().warning('the store does not let go; the upload is left to itself')
        super().destroy_node()


def main() -> int:
    """Run the uploader as a process."""
    return run(UploaderNode)


if __name__ == '__main__':
    sys.exit(main())
