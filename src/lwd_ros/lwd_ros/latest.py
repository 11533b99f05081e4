# SPDX-License-Identifier: Apache-2.0
"""The newest message of a stream, looked at when it is wanted."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

M = TypeVar('M')

_NEWEST = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT,
    durability=DurabilityPolicy.VOLATILE)


class _Never(CallbackGroup):
    """A group whose subscriptions no executor takes from."""

    def can_execute(self, entity: Any) -> bool:
        del entity
        return False

    def beginning_execution(self, entity: Any) -> bool:
        del entity
        return False

    def ending_execution(self, entity: Any) -> None:
        pass


class Latest(Generic[M]):
    """A subscription without a callback.

    joint_states come at 120 Hz; a node that needs one now and then would spend more time on taking
    the others than on its own work.
    """

    def __init__(self, node: Node, kind: type[M], topic: str) -> None:
        """Subscribe; works with any publisher's reliability."""
        self._kind = kind
        self._message: M | None = None
        # The entity keeps the group alive, nobody else does.
        self._subscription = node.create_subscription(
            kind, topic, self._unused, _NEWEST, callback_group=_Never())

    def _unused(self, message: M) -> None:
        """Never called: the group keeps executors away."""

    def get(self) -> M | None:
        """Return the newest message, None before the first."""
        with self._subscription.handle:
            taken = self._subscription.handle.take_message(self._kind, False)
        if taken is not None:
            self._message = taken[0]
        return self._message
