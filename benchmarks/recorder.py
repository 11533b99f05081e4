# SPDX-License-Identifier: Apache-2.0
"""The recorder beside a simulated robot at real time with three cameras: cost, losses, kills.

Images are of high quality, so that the load is that of a real robot. What is lost is not what the
recorder says, but what its bags lack: ticks must follow each other, and each must have its parts.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import rclpy
from mcap.reader import make_reader
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from rosbags.rosbag2 import Reader

from benchmarks.harness import quick, report
from lwd_actor import recorder_node
from lwd_bringup.config import load_robot
from lwd_bringup.domains import free_domain
from lwd_bringup.nodes import environment, plan
from lwd_bringup.supervise import Supervised
from lwd_data.reader import EpisodeReader
from lwd_data.recovery import recover
from lwd_msgs.msg import ControlStep, Episode, ExecutedCommand, Reward, Tick
from lwd_msgs.srv import EndEpisode, StartEpisode
from lwd_ros.convert import to_ns
from lwd_ros.qos import LATCHED, RECORD

STEADY = 20.0 if quick() else 600.0
STALLING = 15.0 if quick() else 120.0
KILLS = 5 if quick() else 50
STALL, STALL_EVERY = 0.3, 2.0
PATIENCE = 60.0
SIZE, QUALITY = 328, 100
PARTS = ('steady', 'stalls', 'kills')


class Bench:
    """Speaks with the robot and its recorder."""

    def __init__(self, spool: Path) -> None:
        self.spool = spool
        self.node: Node = rclpy.create_node('bench', namespace='/g1_01')
        self.states: list[Episode] = []
        self.rewards: list[Reward] = []
        self.ticks = 0
        self.node.create_subscription(Episode, 'episode', self.states.append, LATCHED)
        self.node.create_subscription(Reward, 'reward', self.rewards.append, RECORD)
        self.node.create_subscription(Tick, 'tick', self._on_tick, RECORD)
        self._start = self.node.create_client(StartEpisode, 'start_episode')
        self._end = self.node.create_client(EndEpisode, 'end_episode')

    def _on_tick(self, _: Tick) -> None:
        self.ticks += 1

    def until(self, condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
        """Spin until something holds."""
        end = time.monotonic() + patience
        while not (found := condition()):
            if time.monotonic() > end:
                raise TimeoutError(f'{what} did not come in {patience:g} s')
            rclpy.spin_once(self.node, timeout_sec=0.05)
        return found

    def spin(self, seconds: float) -> None:
        """Listen for a time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            rclpy.spin_once(self.node, timeout_sec=0.05)

    def start(self) -> str:
        """Start an episode, as soon as the recorder lets us; returns its id when it runs."""
        name = ''
        known = {state.episode_id for state in self.states}

        def started() -> bool:
            nonlocal name
            if self.states and self.states[-1].episode_id not in known and (
                    self.states[-1].state == Episode.STATE_RUNNING):
                # An answer may get lost while a new service is being discovered.
                name = self.states[-1].episode_id
                return True
            if not self._start.service_is_ready():
                return False
            future = self._start.call_async(StartEpisode.Request())
            try:
                self.until(lambda: future.done(), 'an answer', patience=1.0)
            except TimeoutError:
                # That was the service of a killed recorder, which stays in the graph for a while.
                return False
            name = future.result().episode_id
            return bool(future.result().success)

        self.until(started, 'an episode')
        self.until(lambda: any(state.episode_id == name and to_ns(state.begin) > 0
                               for state in self.states), 'its first step')
        return name

    def end(self) -> None:
        """End the episode and wait until it is on disk."""
        future = self._end.call_async(EndEpisode.Request())
        self.until(lambda: future.done(), 'an answer')
        self.until(lambda: self.states[-1].state == Episode.STATE_ENDED, 'its end')


@contextmanager
def recorder(spool: Path, *, stalling: bool = False) -> Iterator[psutil.Process]:
    """Run a recorder as a process of its own."""
    words = [sys.executable, '-m', 'benchmarks.recorder', '--recorder',
             *(['--stalling'] if stalling else []), '--ros-args', '-r', '__ns:=/g1_01',
             '-p', f'spool:={spool}', '-p', 'min_free_gb:=0.0']
    process = subprocess.Popen(words)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


class StallingRecorder(recorder_node.RecorderNode):
    """Does nothing for a third of a second now and then."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.create_timer(STALL_EVERY, lambda: time.sleep(STALL))


def lacks(folder: Path) -> tuple[int, int, int, float]:
    """Return missing messages, all messages, bytes and seconds of an episode on disk."""
    ticks: dict[int, Tick] = {}
    parts: set[tuple[str, int]] = set()
    stamps, size, count = set(), 0, 0
    kinds = {'control_step': ControlStep, 'executed_command': ExecutedCommand}
    for raw in EpisodeReader(folder).messages():
        name = raw.topic.removeprefix('/g1_01/')
        count, size = count + 1, size + len(raw.data)
        stamps.add(raw.stamp_ns)
        if name == 'tick':
            message = deserialize_message(raw.data, Tick)
            ticks[message.tick] = message
        elif name in kinds:
            parts.add((name, deserialize_message(raw.data, kinds[name]).tick))
        else:
            parts.add((name, raw.stamp_ns))
    numbers = sorted(ticks)
    missing = numbers[-1] - numbers[0] + 1 - len(numbers)
    wanted = set()
    for number, message in ticks.items():
        wanted |= {(name, number) for name in kinds}
        wanted.add(('joint_states', to_ns(message.joint_state_stamp)))
        wanted |= {(f'{camera}/image_raw/compressed', to_ns(stamp))
                   for camera, stamp in zip(message.cameras, message.image_stamps)}
    states = sum(name == 'joint_states' for name, _ in parts)
    # Four joint states a tick, of which the last step's later ones are not part of the episode.
    missing += max(0, 4 * len(numbers) - 3 - states) + len(wanted - parts)
    return missing, count, size, (max(stamps) - min(stamps)) / 1e9


def steady(bench: Bench, seconds: float, *, stalling: bool) -> dict[str, float]:
    """Record for a time; return what it cost and what is missing."""
    prefix = 'stalled_' if stalling else ''
    with recorder(bench.spool, stalling=stalling) as process:
        name = bench.start()
        bench.spin(2.0)
        before, began = process.cpu_times(), time.monotonic()
        bench.spin(seconds)
        after, elapsed = process.cpu_times(), time.monotonic() - began
        memory = process.memory_info().rss
        bench.end()
    missing, count, size, length = lacks(bench.spool / 'g1_01' / name)
    found = {
        f'{prefix}messages': float(count), f'{prefix}messages_lost': float(missing)}
    if not stalling:
        found |= {
            'messages_per_second': count / length, 'megabytes_per_second': size / length / 1e6,
            'cores': (after.user + after.system - before.user - before.system) / elapsed,
            'memory_mb': memory / 1e6}
    return found


def kills(bench: Bench, count: int) -> dict[str, float]:
    """Kill recorders at random instants; return what each lost, and how many bags are bad."""
    chance = random.Random(0)
    lost, unreadable = [], 0
    for _ in range(count):
        with recorder(bench.spool) as process:
            name = bench.start()
            bench.spin(chance.uniform(0.5, 3.0))
            killed_ns = time.time_ns()
            process.send_signal(signal.SIGKILL)
            process.wait(30)
        folder = bench.spool / 'g1_01' / name
        recover(folder)
        try:
            with Reader(folder) as bag:
                rosbags = bag.message_count
            mcap = 0
            for path in folder.glob('*.mcap'):
                with path.open('rb') as file:
                    mcap += sum(1 for _ in make_reader(file).iter_messages())
            unreadable += rosbags != mcap
            last = max(raw.stamp_ns for raw in EpisodeReader(folder).messages({'tick'}))
            lost.append((killed_ns - last) / 1e9)
        except Exception as error:  # noqa: BLE001  whatever it is, the bag is bad
            sys.stderr.write(f'{folder}: {error}\n')
            unreadable += 1
    return {'kills': float(count), 'kill_loss_s_median': float(np.median(lost)),
            'kill_loss_s_max': float(np.max(lost)), 'kill_bags_unreadable': float(unreadable)}


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('parts', nargs='*', default=[], help=f'of {", ".join(PARTS)}')
    parts = parser.parse_args().parts or list(PARTS)
    config = load_robot('sim_robot', {
        'expert': True, 'domain': free_domain(), 'driver.cameras.width': SIZE,
        'driver.cameras.height': SIZE, 'driver.cameras.jpeg_quality': QUALITY})
    os.environ.update(environment(config))
    metrics: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, Supervised(
            plan(config), Path(folder) / 'run', environment=environment(config)).running():
        rclpy.init()
        bench = Bench(Path(folder) / 'spool')
        # Once judged, a scene is judged no more: episodes last as long as is wanted.
        bench.until(lambda: bench.rewards, 'the verdict on the first scene', 120.0)
        if 'steady' in parts:
            metrics |= steady(bench, STEADY, stalling=False)
        if 'stalls' in parts:
            metrics |= steady(bench, STALLING, stalling=True)
        if 'kills' in parts:
            metrics |= kills(bench, KILLS)
        bench.node.destroy_node()
        rclpy.try_shutdown()
    bars = {'messages_per_second': ('>=', 240.0), 'megabytes_per_second': ('>=', 3.0),
            'cores': ('<=', 0.05), 'messages_lost': ('==', 0.0),
            'stalled_messages_lost': ('==', 0.0), 'kill_loss_s_max': ('<=', 0.5),
            'kill_bags_unreadable': ('==', 0.0)}
    return report('recorder', metrics, {key: bar for key, bar in bars.items() if key in metrics})


if __name__ == '__main__':
    if '--recorder' in sys.argv:
        sys.exit(recorder_node.main(
            StallingRecorder if '--stalling' in sys.argv else recorder_node.RecorderNode))
    sys.exit(main())
