# SPDX-License-Identifier: Apache-2.0
"""Policies that arrive and are swapped in while a robot moves: is any of its ticks late?

One simulated robot at real time, with three cameras and the recorder, as in `benchmarks/actor.py`,
and a publisher that stands for the learner's machine. A tick's delay is from its stamp to the
arrival of the arbiter's answer, ControlStep. Ticks from the publication of a policy to a second
after it drove are compared with all others. The weights are random, and move from version to
version as training moves them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray

from benchmarks.actor import make_policy
from benchmarks.harness import quick, report
from benchmarks.publishing import move, prepare, save_version
from lwd_bringup.config import load_robot
from lwd_bringup.domains import free_domain
from lwd_bringup.nodes import environment, plan
from lwd_bringup.supervise import Supervised
from lwd_msgs.msg import ControlStep
from lwd_policy.config import PolicyConfig
from lwd_policy.published import Published
from lwd_policy.store import load_policy
from lwd_ros.convert import to_ns
from lwd_ros.qos import RECORD

SWAPS = 3 if quick() else 20
STARTING, PATIENCE, ENDING = 120.0, 30.0, 30.0
"""s, at most: until the first policy drives, until a later one does, until the publisher ends."""
QUIET = 6.0
"""s without anything between a swap and the next publication."""
AFTER = 1.0
"""s that belong to a swap after the first tick that the new policy drove."""


@dataclass
class Heard:
    """What the robot said."""

    arrivals: list[float] = field(default_factory=list)
    """time.monotonic() of each ControlStep, s."""
    delays: list[float] = field(default_factory=list)
    """From the stamp of its tick, s; both clocks are this machine's."""
    version: str = ''
    """Of the policy that drove the newest tick."""
    starved: int = 0

    def on_step(self, step: ControlStep) -> None:
        """Note a tick."""
        self.arrivals.append(time.monotonic())
        self.delays.append((time.time_ns() - to_ns(step.header.stamp)) / 1e9)
        if step.source == ControlStep.SOURCE_POLICY:
            self.version = step.policy_version

    def on_diagnostics(self, message: DiagnosticArray) -> None:
        """Note how many ticks had no action of the policy's."""
        for status in message.status:
            if status.name.endswith('/policy'):
                self.starved = max([self.starved, *(
                    int(item.value) for item in status.values if item.key == 'starved ticks')])


class Learner:
    """Versions that move as in training, and the node that publishes them."""

    def __init__(self, folder: Path, first: Path) -> None:
        """Begin with the policy that the robot begins with."""
        self._folder = folder
        self._policy, _, card = load_policy(first)
        self._parent = card.version
        self._published = Published(folder / 'published')
        # It stands for another machine: what it computes is not the robot's.
        self._node = subprocess.Popen(['nice', '-n', '19', *prepare(folder)])
        self._update = 0

    def make(self) -> Path:
        """Return the folder of the next version, which nobody hears of yet."""
        self._update += 50
        move(self._policy)
        place = self._folder / f'policy-{self._update}'
        self._parent = save_version(place, self._policy, self._parent)
        return place

    def publish(self, place: Path) -> str:
        """Publish a version; returns its name."""
        return self._published.add(place, update=self._update).version

    def close(self) -> None:
        """End the node."""
        self._node.send_signal(signal.SIGINT)
        try:
            self._node.wait(ENDING)
        except subprocess.TimeoutExpired:
            print('the publisher did not end; it is killed')
            self._node.kill()
            self._node.wait()


def main() -> int:
    """Run the benchmark."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_policy(folder / 'first', PolicyConfig(observation='cameras'), scale=0.05)
        config = load_robot('sim_robot', {
            'policy': str(folder / 'first'), 'shelf': str(folder / 'shelf'),
            'keys': str(folder / 'keys'), 'domain': free_domain(), 'record': True,
            'spool': str(folder / 'spool'), 'recorder.auto': True})
        variables = environment(config)
        os.environ.update(variables)
        learner = Learner(folder, folder / 'first')
        try:
            with Supervised(plan(config), folder, environment=variables).running():
                return _measure(learner)
        finally:
            learner.close()


def _measure(learner: Learner) -> int:
    rclpy.init()
    node = rclpy.create_node('meter', namespace='/g1_01')
    heard = Heard()
    node.create_subscription(ControlStep, 'control_step', heard.on_step, RECORD)
    node.create_subscription(DiagnosticArray, '/diagnostics', heard.on_diagnostics, 10)

    def listen(seconds: float, version: str | None = None) -> bool:
        """Listen for so long, or until the version drives (any, if empty)."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            rclpy.spin_once(node, timeout_sec=0.1)
            if version is not None and heard.version and version in heard.version:
                return True
        return version is None

    if not listen(STARTING, ''):
        raise RuntimeError(f'no policy drove the robot within {STARTING:g} s')
    listen(QUIET)
    heard.arrivals.clear()
    heard.delays.clear()
    before = heard.starved
    windows: list[tuple[float, float]] = []
    took: list[float] = []
    for _ in range(SWAPS):
        place = learner.make()
        listen(QUIET)
        began = time.monotonic()
        version = learner.publish(place)
        if not listen(PATIENCE, version):
            raise RuntimeError(f'{version[:12]} did not drive within {PATIENCE:g} s')
        took.append(time.monotonic() - began)
        listen(AFTER)
        windows.append((began, time.monotonic()))
    listen(QUIET)
    node.destroy_node()
    rclpy.try_shutdown()
    arrivals, delays = np.array(heard.arrivals), 1e3 * np.array(heard.delays)
    swapping = np.any([(arrivals >= low) & (arrivals <= high) for low, high in windows], axis=0)
    quiet, during = (np.percentile(delays[chosen], [50, 99, 100])
                     for chosen in (~swapping, swapping))
    worst = [delays[(arrivals >= low) & (arrivals <= high)].max() for low, high in windows]
    return report('swap', {
        'swaps': float(len(windows)), 'ticks': float(len(delays)),
        'ticks_while_swapping': float(swapping.sum()),
        'published_to_driving_s_p50': float(np.median(took)),
        'published_to_driving_s_max': max(took),
        'starved_ticks': float(heard.starved - before),
        'tick_delay_quiet_ms_p50': float(quiet[0]), 'tick_delay_quiet_ms_p99': float(quiet[1]),
        'tick_delay_quiet_ms_max': float(quiet[2]),
        'tick_delay_swap_ms_p50': float(during[0]), 'tick_delay_swap_ms_p99': float(during[1]),
        'tick_delay_swap_ms_max': float(during[2]),
        'swap_delay_ms': max(0.0, float(during[1] - quiet[1])),
        'swap_delay_ms_of_worst_ticks': max(0.0, float(np.median(worst) - quiet[1])),
    }, {'starved_ticks': ('==', 0.0), 'swap_delay_ms': ('<=', 5.0)})


if __name__ == '__main__':
    sys.exit(main())
