# SPDX-License-Identifier: Apache-2.0
"""The robots in a domain, asked from a command."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from std_srvs.srv import Trigger

from lwd_bringup.errors import BringupError
from lwd_learner_bridge.errors import LineageError
from lwd_learner_bridge.lineage import resolve
from lwd_msgs.msg import PolicyStatus
from lwd_msgs.srv import RollbackPolicy
from lwd_ros.qos import LATCHED
from lwd_ros.signals import signals_held

_STATUS_TYPE = 'lwd_msgs/msg/PolicyStatus'
# Time for robots to be found, and for what they latch to arrive, after the last new one.
_QUIET = 1.0


class Robots:
    """A short-lived node that listens and asks."""

    def __init__(self, domain: int | None, patience: float) -> None:
        """Join a domain, that of the environment if None; wait so many s for answers."""
        self._patience = patience
        # A context of its own: it leaves others in this process alone.
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._node = rclpy.create_node('lwd_policy_command', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._heard: dict[str, PolicyStatus] = {}
        self._followed: set[str] = set()

    def __enter__(self) -> Robots:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def _spin(self, done: Callable[[], bool]) -> bool:
        end = time.monotonic() + self._patience
        while not done() and time.monotonic() < end:
            self._follow()
            with signals_held():
                self._executor.spin_once(timeout_sec=0.05)
        return done()

    def _follow(self) -> None:
        for topic, kinds in self._node.get_topic_names_and_types():
            if _STATUS_TYPE in kinds and topic not in self._followed:
                self._followed.add(topic)
                robot = topic.rpartition('/')[0].lstrip('/')
                self._node.create_subscription(
                    PolicyStatus, topic,
                    lambda message, robot=robot: self._heard.__setitem__(robot, message), LATCHED)

    def statuses(self) -> dict[str, PolicyStatus]:
        """Return what every robot says of its policies."""
        began = time.monotonic()
        newest = (0, began)

        def quiet() -> bool:
            nonlocal newest
            if len(self._heard) != newest[0]:
                newest = (len(self._heard), time.monotonic())
            return bool(self._heard) and time.monotonic() - newest[1] > _QUIET

        self._spin(quiet)
        return dict(self._heard)

    def _status(self, robot: str) -> PolicyStatus:
        if not self._spin(lambda: robot in self._heard):
            raise BringupError(
                f'robot {robot!r} was not heard in {self._patience:g} s; heard were '
                f'{", ".join(sorted(self._heard)) or "none"}')
        return self._heard[robot]

    def running(self, robot: str) -> str:
        """Return the version that a robot runs.

        Raises:
            BringupError: It says nothing, or runs none.
        """
        status = self._status(robot)
        found = str(status.running_version or status.pending_version)
        if not found:
            raise BringupError(f'{robot} runs no policy; name one to pin')
        return found

    def version(self, robot: str, prefix: str) -> str:
        """Return the stored version that begins with a prefix; empty for an empty one.

        Raises:
            BringupError: There is none, or several.
        """
        if not prefix:
            return ''
        try:
            return resolve(self._status(robot).stored_versions, prefix)
        except LineageError as error:
            raise BringupError(f'{robot}: {error}') from error

    def roll_back(self, robot: str, version: str, *, pin: bool) -> str:
        """Have a robot run a version; returns what it says.

        Raises:
            BringupError: It does not answer, or says no.
        """
        return self.ask(robot, 'rollback_policy',
                        RollbackPolicy.Request(version=version, pin=pin), RollbackPolicy)

    def unpin(self, robot: str) -> str:
        """Have a robot follow new policies; returns what it says.

        Raises:
            BringupError: It does not answer, or says no.
        """
        return self.ask(robot, 'unpin_policy', Trigger.Request(), Trigger)

    def ask(self, robot: str, name: str, request: Any, kind: Any) -> str:
        """Call a service of a robot; returns what it says.

        Raises:
            BringupError: It does not answer, or says no.
        """
        client = self._node.create_client(kind, f'/{robot}/{name}')
        if not client.wait_for_service(self._patience):
            raise BringupError(
                f'/{robot}/{name} is not there; does {robot} run what serves it (./lwd nodes), '
                'and is --domain right?')
        future = client.call_async(request)
        if not self._spin(future.done):
            raise BringupError(f'{robot} did not answer in {self._patience:g} s')
        answer = future.result()
        if not answer.success:
            raise BringupError(f'{robot}: {answer.message}')
        # Who starts an episode wants to know which one it is.
        name_of_it = getattr(answer, 'episode_id', '')
        return f'{robot}: {name_of_it + " " if name_of_it else ""}{answer.message}'
