# SPDX-License-Identifier: Apache-2.0
"""A node that registers what robots upload, and tells of each new snapshot."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field

from rclpy.node import Node
from std_msgs.msg import String

from lwd_data.errors import DataError
from lwd_data.replay.snapshot import Snapshot
from lwd_learner_bridge import messages
from lwd_learner_bridge.errors import BridgeError, NoticeError
from lwd_learner_bridge.ingest.config import IngestConfig
from lwd_learner_bridge.ingest.coordinator import Coordinator
from lwd_learner_bridge.ingest.rebuild import replay_folder
from lwd_learner_bridge.store.objects import ObjectStore
from lwd_learner_bridge.worker import Worker
from lwd_msgs.msg import SegmentUploaded
from lwd_ros.diagnostics import ERROR, OK, WARN, Diagnostics, Health
from lwd_ros.parameters import declare
from lwd_ros.process import run
from lwd_ros.qos import LATCHED


@dataclass(frozen=True)
class CoordinatorConfig:
    """Parameters of the coordinator node."""

    store: str = 'store'
    """Where robots upload to: a folder, or s3://bucket/prefix; keys as for the uploader."""
    replay: str = ''
    """Folder of the replay catalogue, and of copies of the segments if the store is none on this
    machine; empty: the store itself."""
    timeout: float = field(default=60.0, metadata={'range': (0.1, 3600.0)})
    """How long a request to the store may take, s."""
    ingest: IngestConfig = field(default_factory=IngestConfig)
    """How uploads are taken."""


class CoordinatorNode(Node):
    """Hears /lwd/segments, publishes /lwd/replay/snapshot."""

    def __init__(self, **options: object) -> None:
        """Begin to take what is there."""
        super().__init__('coordinator', **options)
        self.config = declare(self, CoordinatorConfig)
        self._snapshots = self.create_publisher(String, '/lwd/replay/snapshot', LATCHED)
        self._worker = Worker(
            self._make, (BridgeError, DataError, OSError), self.get_logger().warning)
        self.create_subscription(
            SegmentUploaded, '/lwd/segments', self._on_segment, messages.SEGMENTS)
        self._diagnostics = Diagnostics(self, self._health)

    def _make(self) -> Coordinator:
        config = self.config
        objects = ObjectStore(config.store, timeout=config.timeout)
        coordinator = Coordinator(
            objects, replay_folder(objects, config.replay), config.ingest,
            report=self.get_logger().warning, publish=self._publish)
        self._publish(coordinator.catalogue.snapshot())
        return coordinator

    def _publish(self, snapshot: Snapshot) -> None:
        self._snapshots.publish(String(data=json.dumps({
            'store': str(snapshot.store), 'id': snapshot.id, 'sequence': snapshot.sequence})))

    def _on_segment(self, message: SegmentUploaded) -> None:
        try:
            key = messages.inbox_key(message)
        except NoticeError as error:
            self.get_logger().warning(str(error))
            return
        # Before it has a core, listing finds what was announced.
        if (core := self._worker.core) is not None:
            core.announce(key)
            self._worker.wake()

    def _health(self) -> Health:
        core = self._worker.core
        if core is None:
            return Health(ERROR, self._worker.failure or 'starting')
        values = {**vars(core.counts), 'waiting': core.waiting}
        if core.failure:
            return Health(ERROR, core.failure, values)
        if core.namesakes.problems:
            return Health(WARN, next(iter(core.namesakes.problems.values())), values)
        if core.counts.quarantined:
            return Health(
                WARN, f'{core.counts.quarantined} uploads are in quarantine since the start',
                values)
        return Health(OK, f'{core.counts.registered} segments since the start', values)

    def destroy_node(self) -> None:
        """End after the present notice; the others stay in the inbox."""
        self._worker.stop()
        super().destroy_node()


def main() -> int:
    """Run the coordinator as a process."""
    return run(CoordinatorNode)


if __name__ == '__main__':
    sys.exit(main())
