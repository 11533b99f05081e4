# SPDX-License-Identifier: Apache-2.0
"""Some robots of the `weights` benchmark in one process: receivers, and who runs what they get.

Prints a line for each version that a robot runs: robot, version, monotonic time.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
import time
from pathlib import Path

import rclpy
import torch
from rclpy.executors import Executor, ExternalShutdownException
from rclpy.experimental import EventsExecutor
from rclpy.parameter import Parameter

from lwd_actor.policies import flow_file
from lwd_actor.receiver_node import ReceiverNode
from lwd_actor.reception.judge import Judge
from lwd_actor.supply import POLL
from lwd_msgs.msg import ActionChunk
from lwd_policy import weights
from lwd_policy.payload import Unpacked
from lwd_policy.shelf import Shelf
from lwd_ros.qos import RECORD


class WholeAndFinite:
    """A judge of weights that are too large to be run here: all checks but the canary."""

    def __call__(self, unpacked: Unpacked, running: Path | None) -> None:
        """Read the policy."""
        del running
        weights.load(unpacked.folder, known=unpacked.version)

    def moved(self, folder: Path) -> None:
        """Keep nothing."""


class Follower(threading.Thread):
    """Stands for the policy nodes: polls the shelves, loads and warms up, then runs."""

    def __init__(self, robots: dict[str, ReceiverNode], *, load: bool) -> None:
        """Follow robots' shelves; without `load` a version runs as soon as it is chosen."""
        super().__init__(daemon=True)
        self._robots, self._load = robots, load
        self._shelves = {name: Shelf(Path(node.config.shelf)) for name, node in robots.items()}
        self._chunks = {name: node.create_publisher(ActionChunk, 'action_chunk', RECORD)
                        for name, node in robots.items()}
        self.running = dict.fromkeys(robots, '')
        self.ending = threading.Event()

    def run(self) -> None:
        """Follow until the end."""
        while not self.ending.wait(POLL):
            for name, shelf in self._shelves.items():
                version = shelf.current()
                if version and version != self.running[name]:
                    if self._load:
                        flow_file.load(shelf.path(version))
                    self.running[name] = version
                    _say(f'{name} {version} {time.monotonic()}')
                    self._chunks[name].publish(ActionChunk(policy_version=version))


def _say(line: str) -> None:
    """Print a line at once, whole: several threads speak."""
    sys.stdout.write(f'{line}\n')
    sys.stdout.flush()


def _spin(executor: Executor, ending: threading.Event) -> None:
    with contextlib.suppress(ExternalShutdownException):
        while not ending.is_set():
            executor.spin_once(timeout_sec=0.2)


def main() -> int:
    """Run robots FIRST .. FIRST + COUNT - 1 until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument('folder', type=Path)
    parser.add_argument('first', type=int)
    parser.add_argument('count', type=int)
    parser.add_argument('--large', action='store_true')
    options = parser.parse_args()
    torch.set_num_threads(1)
    rclpy.init()
    executor: Executor = EventsExecutor()
    judge: Judge | None = WholeAndFinite() if options.large else None
    robots = {}
    for number in range(options.first, options.first + options.count):
        name = f'g1_{number:02d}'
        values = {'robot': name, 'shelf': str(options.folder / name), 'niceness': 0,
                  'keys': str(options.folder / 'keys'), 'receiver.keep': 2}
        robots[name] = ReceiverNode(
            judge, namespace=f'/{name}', parameter_overrides=[
                Parameter(key, value=value) for key, value in values.items()])
        executor.add_node(robots[name])
    follower = Follower(robots, load=not options.large)
    follower.start()
    spinning = threading.Thread(target=_spin, args=[executor, follower.ending], daemon=True)
    spinning.start()
    _say('ready')
    sys.stdin.read()
    follower.ending.set()
    spinning.join()
    executor.shutdown()
    for node in robots.values():
        node.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
