# SPDX-License-Identifier: Apache-2.0
"""The newest images of a fleet's cameras, for who looks now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from rclpy.exceptions import InvalidHandle
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage

from g1_description.cameras import CAMERA_NAMES
from lwd_ros.latest import Latest

STALE_SECONDS = 10.0
"""A picture that stayed the same for so long is not shown as if it were now."""


class _Stream:
    """One camera."""

    def __init__(self, latest: Latest[CompressedImage]) -> None:
        self._latest = latest
        self._newest: CompressedImage | None = None
        self._changed = 0.0

    def get(self, now: float) -> CompressedImage | None:
        found = self._latest.get()
        if found is not self._newest:
            self._newest, self._changed = found, now
        return None if now - self._changed > STALE_SECONDS else found


class FleetCameras:
    """Holds the newest image of each camera; images are unpacked only when asked for."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without a camera.

        Args:
            clock: Returns the time, s.
        """
        self._clock = clock
        self._lock = threading.Lock()
        """Held while a message is taken: several threads ask."""
        self._streams: dict[tuple[str, str], _Stream] = {}

    def listen(self, node: Node, robots: Sequence[str]) -> None:
        """Listen to all cameras of some robots.

        Args:
            node: That the subscriptions are of.
            robots: Their names.
        """
        streams = {
            (robot, camera): _Stream(Latest(
                node, CompressedImage, f'/{robot}/{camera}/image_raw/compressed'))
            for robot in robots for camera in CAMERA_NAMES}
        with self._lock:
            self._streams = streams

    def names(self, robot: str) -> Sequence[str]:
        """Return the cameras of a robot that have given an image lately."""
        return [name for name in CAMERA_NAMES if self.jpeg(robot, name) is not None]

    def jpeg(self, robot: str, camera: str) -> bytes | None:
        """Return the newest image of a camera; None if there is none, or only an old one."""
        with self._lock:
            stream = self._streams.get((robot, camera))
            if stream is None:
                return None
            try:
                message = stream.get(self._clock())
            except InvalidHandle:
                # The node was destroyed; who still looks sees no image.
                return None
        return None if message is None else bytes(message.data)
