# SPDX-License-Identifier: Apache-2.0
"""One diagnostic status a node, on /diagnostics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node


@dataclass(frozen=True)
class Health:
    """How a node is: a level, a sentence, and figures."""

    level: bytes
    message: str
    values: Mapping[str, object] = field(default_factory=dict)


OK, WARN, ERROR, STALE = (
    DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.STALE)


class Diagnostics:
    """Publishes a node's health once a second."""

    def __init__(self, node: Node, health: Callable[[], Health], *, hardware_id: str = '') -> None:
        """Start publishing.

        Args:
            node: The node that speaks.
            health: Called once a second, in an executor's thread.
            hardware_id: The robot's name.
        """
        self._node, self._health, self._hardware = node, health, hardware_id
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self._timer = node.create_timer(1.0, self.publish)

    def publish(self) -> None:
        """Publish the present health."""
        health = self._health()
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.status = [DiagnosticStatus(
            level=health.level, name=self._node.get_fully_qualified_name().lstrip('/'),
            message=health.message, hardware_id=self._hardware,
            values=[KeyValue(key=key, value=str(value)) for key, value in health.values.items()])]
        self._publisher.publish(message)
