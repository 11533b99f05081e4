# SPDX-License-Identifier: Apache-2.0
"""The newest images of a fleet's cameras, for who looks now and then."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from rclpy.exceptions import InvalidHandle
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage

from g1_description.cameras import CAMERA_NAMES
from lwd_ros.latest import Latest


class FleetCameras:
    """Holds the newest image of each camera; images are unpacked only when asked for."""

    def __init__(self, node: Node, robots: Sequence[str]) -> None:
        """Listen.

        Args:
            node: That the subscriptions are of.
            robots: Their names.
        """
        self._lock = threading.Lock()
        """Held while a message is taken: several threads ask."""
        self._streams = {
            (robot, camera): Latest(
                node, CompressedImage, f'/{robot}/{camera}/image_raw/compressed')
            for robot in robots for camera in CAMERA_NAMES}

    def names(self, robot: str) -> Sequence[str]:
        """Return the cameras of a robot that have given an image."""
        return [name for name in CAMERA_NAMES if self.jpeg(robot, name) is not None]

    def jpeg(self, robot: str, camera: str) -> bytes | None:
        """Return the newest image of a camera; None if there is none."""
        stream = self._streams.get((robot, camera))
        if stream is None:
            return None
        try:
            with self._lock:
                message = stream.get()
        except InvalidHandle:
            # The node was destroyed; who still looks sees no image.
            return None
        return None if message is None else bytes(message.data)
