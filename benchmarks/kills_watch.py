# SPDX-License-Identifier: Apache-2.0
"""What the `kills` benchmark hears of its fleet, and what it judges by afterwards."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message

from lwd_actor.reception.messages import manifest_of
from lwd_bringup.loop.audit import Audit
from lwd_bringup.loop.monitor import Monitor
from lwd_data.recovery import complete_messages
from lwd_msgs.msg import PolicyManifest, PolicyStatus, Tick
from lwd_policy.published import Published
from lwd_policy.signature import TrustedKeys
from lwd_ros.qos import LATCHED, RECORD

_LARGEST = 10**9
_REMEMBERED = 2000
"""Ticks of a robot: some twenty seconds at the speed of a simulation."""


@dataclass
class Kill:
    """One SIGKILL."""

    node: str
    """<robot>/<node>, or supervisord."""
    moment: float
    """Monotonic, s."""
    wall: float
    """s since the epoch."""
    healed: float = float('inf')
    """Seconds until it said that it is well again."""
    ticks: dict[str, int] = field(default_factory=dict)
    """Newest tick of each robot that was heard before."""


class Watcher(Monitor):
    """A monitor that also hears which nodes are well, which policies run, and every tick."""

    def __init__(self, robots: Sequence[str], store: Path, keys: Path, **options: object) -> None:
        """Listen; keys: folder of those that robots trust."""
        super().__init__(robots, store, **options)
        self._keys = TrustedKeys.load(keys)
        self.well: dict[str, float] = {}
        """When each node last said that it is well, monotonic, s."""
        self.complaints: dict[str, str] = {}
        """Of the nodes that are not."""
        self.signed: set[str] = set()
        """Versions that came with a signature that holds."""
        self.forged: list[str] = []
        self.ran: dict[str, list[str]] = {name: [] for name in robots}
        """Versions of each robot, in order."""
        self.ticks: dict[str, deque[int]] = {name: deque(maxlen=_REMEMBERED) for name in robots}
        self.create_subscription(DiagnosticArray, '/diagnostics', self._on_health, 100)
        self.create_subscription(
            PolicyManifest, '/lwd/policy/manifest', self._on_signed, LATCHED)
        many = QoSProfile(depth=_REMEMBERED, reliability=RECORD.reliability)
        for name in robots:
            self.create_subscription(
                PolicyStatus, f'/{name}/policy_status', partial(self._on_ran, name), LATCHED)
            self.create_subscription(Tick, f'/{name}/tick', partial(self._on_tick, name), many)

    def _on_health(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.level in (DiagnosticStatus.OK, DiagnosticStatus.WARN):
                self.well[status.name] = time.monotonic()
                self.complaints.pop(status.name, None)
            else:
                self.complaints[status.name] = status.message

    def _on_signed(self, message: PolicyManifest) -> None:
        try:
            manifest_of(message).check(self._keys, limit=_LARGEST)
        except ValueError as error:
            self.forged.append(str(error))
        else:
            self.signed.add(message.version)

    def _on_ran(self, robot: str, message: PolicyStatus) -> None:
        version = message.running_version
        if version and self.ran[robot][-1:] != [version]:
            self.ran[robot].append(version)

    def _on_tick(self, robot: str, message: Tick) -> None:
        if self.ticks[robot] and message.tick < self.ticks[robot][-1]:
            # A driver that was started anew counts anew.
            self.ticks[robot].clear()
        self.ticks[robot].append(message.tick)


def gaps(files: Sequence[Path]) -> list[tuple[int, int]]:
    """Return where the ticks of an episode do not follow each other: (before, behind)."""
    found = recorded_ticks(files)
    return [(int(before), int(behind)) for before, behind in itertools.pairwise(found)
            if behind != before + 1]


def recorded_ticks(files: Sequence[Path]) -> np.ndarray:
    """Return the ticks of an episode's segments, (T,), in the order of the files."""
    return np.array([
        deserialize_message(message.data, Tick).tick
        for file in files for _, channel, message in complete_messages(file)
        if channel.topic.endswith('/tick')], dtype=np.int64)


def tails(spool: Path, found: Audit, kills: Sequence[Kill]) -> dict[str, float]:
    """Return what killed recorders lost at the end of each interrupted episode, s.

    From the last time that the recorder handed its data to the operating system, which is when the
    file that recovery kept beside was changed last, to the kill; 0 if no tick came in between.
    """
    lost = {}
    for aside in spool.glob('*/*/*.interrupted'):
        robot, name = aside.parent.parent.name, aside.parent.name
        # The kill after which it was recovered: the first one behind its last change.
        later = [kill for kill in kills if kill.wall > aside.stat().st_mtime
                 and kill.node in (f'{robot}/recorder', 'supervisord')]
        ticks = recorded_ticks(found.files.get(name, ()))
        if not later or not len(ticks):
            continue
        heard = later[0].ticks.get(robot, -1)
        lost[name] = later[0].wall - aside.stat().st_mtime if heard > ticks[-1] else 0.0
    return lost


def backward(ran: Sequence[str], published: Published) -> int:
    """Return how often a robot went from a version to one that was published earlier."""
    numbers = {one.version: one.number for one in reversed(published.all())}
    steps = [numbers.get(version, -1) for version in ran]
    return sum(behind < before for before, behind in itertools.pairwise(steps))
