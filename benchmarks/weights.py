# SPDX-License-Identifier: Apache-2.0
"""Policies to 16 robots: from published to running; `benchmarks/swap.py` has the swap itself.

The publisher is the node, in a process of its own; the robots' receivers are nodes too, several to
a process. Who infers is stood in for by a thread that polls the shelves as the policy node does,
loads and warms up. The default policy passes the whole trial. The large one, 300 M parameters in
bf16, passes all but the canary, and counts as running when it is chosen on the shelf: on robots
loading and warming up come on top. All robots share this machine's cores and disk; a fleet's do
not: the figures of one robot alone are those of a fleet whose robots have a computer each.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import torch

from benchmarks.harness import quick, report
from benchmarks.publishing import MOVE, move, prepare, save_version
from g1_description.joints import COMMAND_NAMES, HOME, STATE_JOINTS
from lwd_bringup.domains import free_domain
from lwd_policy import weights
from lwd_policy.card import PolicyCard, PolicyLayout
from lwd_policy.config import PolicyConfig
from lwd_policy.policy import FlowPolicy
from lwd_policy.published import Published

ROBOTS = 16
PROCESSES = 4
UPDATES = 3 if quick() else 20
# What one robot needs of memory at most while it applies a large delta.
_LARGE_MEMORY = 1e9
LARGE_ROBOTS = int(os.environ.get('LARGE_ROBOTS', '0' if quick() else str(
    min(ROBOTS, int(psutil.virtual_memory().available / _LARGE_MEMORY)))))
LARGE_LAYERS = 96  # of 3.1 million parameters
STARTING, PATIENCE, ENDING = 120.0, 60.0, 30.0
"""s, at most: until all processes listen, until robots follow a policy, until processes end."""


class Fleet:
    """Publisher and robots as processes."""

    def __init__(self, folder: Path, robots: int, *, large: bool) -> None:
        """Start them and wait until they listen.

        Raises:
            RuntimeError: They do not, or one ended.
        """
        self.folder, self.robots = folder, robots
        self.behind = 0
        """Robots that did not follow a policy in time."""
        publisher = prepare(folder)
        self.published = Published(folder / 'published')
        self.seen: dict[str, dict[str, float]] = defaultdict(dict)
        self._changed = threading.Condition()
        self._ready = 0
        self._children: list[subprocess.Popen[str]] = []
        self._readers: list[threading.Thread] = []
        share = -(-robots // PROCESSES)
        try:
            for first in range(1, robots + 1, share):
                count = min(share, robots + 1 - first)
                self._start([sys.executable, '-m', 'benchmarks.weights_robots', str(folder),
                             str(first), str(count), *(['--large'] if large else [])])
            if not self._until(lambda: self._ready == len(self._children), STARTING):
                raise RuntimeError(
                    f'{self._ready} of {len(self._children)} processes of robots were ready '
                    f'within {STARTING:g} s; is the machine busy?')
            self._start(publisher)
        except BaseException:
            self.close()
            raise

    def _start(self, command: list[str]) -> None:
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        reader = threading.Thread(target=self._read, args=[child], daemon=True)
        self._children.append(child)
        self._readers.append(reader)
        reader.start()

    def _read(self, child: subprocess.Popen[str]) -> None:
        assert child.stdout is not None
        for line in child.stdout:
            words = line.split()
            with self._changed:
                if words[0] == 'ready':
                    self._ready += 1
                elif words[0].startswith('g1_'):
                    self.seen[words[1]][words[0]] = float(words[2])
                self._changed.notify_all()

    def _until(self, condition: Callable[[], bool], patience: float) -> bool:
        """Wait, also for a process that ended before its time; returns whether it came true."""
        end = time.monotonic() + patience
        with self._changed:
            while not condition() and time.monotonic() < end:
                ended = [child for child in self._children if child.poll() is not None]
                if ended:
                    raise RuntimeError(
                        f'{ended[0].args!r} ended with {ended[0].returncode}')
                self._changed.wait(0.5)
            return condition()

    def publish(self, policy: Path, update: int) -> list[float]:
        """Publish a policy; return when each robot ran it, s after it was there to publish.

        One that is left behind counts with the time that was waited for it.
        """
        version = self.published.add(policy, update=update).version
        began = time.monotonic()
        if not self._until(lambda: len(self.seen[version]) == self.robots, PATIENCE):
            missing = sorted({f'g1_{number:02d}' for number in range(1, self.robots + 1)}
                             - self.seen[version].keys())
            self.behind += len(missing)
            print(f'{", ".join(missing)} did not follow update {update} in {PATIENCE:g} s')
        taken = [moment - began for moment in list(self.seen[version].values())]
        return taken + [PATIENCE] * (self.robots - len(taken))

    def sent(self) -> int:
        """Return the bytes of the newest payloads."""
        return sum(file.stat().st_size for file in (
            self.folder / 'published' / '.payloads').iterdir())

    def cpu(self) -> tuple[float, float]:
        """Return the CPU time so far of all robots, and of the publisher, s."""
        spent = [sum(psutil.Process(child.pid).cpu_times()[:2]) for child in self._children]
        return sum(spent[:-1]), spent[-1]

    def close(self) -> None:
        """End all, by force what does not end in time."""
        for child in self._children:
            assert child.stdin is not None
            child.stdin.close()
        if len(self._children) > 1:
            self._children[-1].terminate()
        end = time.monotonic() + ENDING
        for child in self._children:
            try:
                child.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                print(f'{child.args!r} did not end; it is killed')
                child.kill()
                child.wait()
        for reader in self._readers:
            reader.join(1.0)


def _small(folder: Path, robots: int) -> dict[str, float]:
    """Return the figures of the default policy."""
    torch.manual_seed(0)
    policy = FlowPolicy(PolicyConfig())
    rng = np.random.default_rng(0)
    commands = HOME + rng.normal(0.0, 0.05, (256, policy.config.horizon, 16))
    state = np.zeros((256, len(STATE_JOINTS)))
    state[:, :16] = commands[:, 0]
    policy.fit(commands, state, np.tile(HOME, (256, 1)))
    fleet = Fleet(folder, robots, large=False)
    try:
        deltas: list[float] = []
        sizes: list[float] = []
        cpu: list[tuple[float, float]] = []
        parent = ''
        for number in range(UPDATES + 1):
            place = folder / f'policy{number}'
            parent = save_version(place, policy, parent)
            before = fleet.cpu()
            taken = fleet.publish(place, 50 * number)
            if number:
                robots_cpu, publisher_cpu = (
                    now - then for now, then in zip(fleet.cpu(), before))
                cpu.append((robots_cpu / robots, publisher_cpu))
                # The first one finds robots and publisher still looking for each other.
                deltas.extend(taken)
                sizes.append(fleet.sent() / (place / weights.WEIGHTS_FILE).stat().st_size)
            if fleet.behind:
                break
            # Each robot says once a second what it has.
            time.sleep(1.2)
            move(policy)
    finally:
        fleet.close()
    if not cpu:
        raise RuntimeError(f'{fleet.behind} of {robots} robots were left behind by the first one')
    return {
        'left_behind': float(fleet.behind),
        'p50_s': float(np.percentile(deltas, 50)), 'p99_s': float(np.percentile(deltas, 99)),
        'delta_fraction': float(np.mean(sizes)),
        'cpu_s_a_robot': float(np.median([one for one, _ in cpu])),
        'cpu_s_publisher': float(np.median([one for _, one in cpu]))}


def _large(folder: Path) -> dict[str, float]:
    """Return the figures of 300 M parameters in bf16: full, then a delta."""
    generator = torch.Generator().manual_seed(0)
    shape = (1024, 3072)
    before = {f'layers.{number}.weight': torch.randn(shape, generator=generator) / 32.0
              for number in range(LARGE_LAYERS)}
    card = PolicyCard(
        name='bench', architecture={'layers': LARGE_LAYERS}, observation='scene',
        layout=PolicyLayout(COMMAND_NAMES, 30, 'scene-1'), algorithm='none', command='bench',
        seed=0)
    first = weights.save(
        folder / 'first', {name: value.bfloat16() for name, value in before.items()}, card)
    for value in before.values():
        value.add_(torch.randn(shape, generator=generator), alpha=MOVE)
    weights.save(folder / 'second', {name: value.bfloat16() for name, value in before.items()},
                 first.child())
    del before
    fleet = Fleet(folder, LARGE_ROBOTS, large=True)
    try:
        started = fleet.cpu()[0]
        full = fleet.publish(folder / 'first', 0)
        taken = fleet.cpu()[0]
        time.sleep(3.0)
        delta = fleet.publish(folder / 'second', 50)
        ended = fleet.cpu()[0]
        fraction = fleet.sent() / (folder / 'second' / weights.WEIGHTS_FILE).stat().st_size
    finally:
        fleet.close()
    return {
        'large_robots': float(LARGE_ROBOTS), 'large_left_behind': float(fleet.behind),
        'large_full_max_s': max(full), 'large_delta_max_s': max(delta),
        'large_delta_fraction': fraction,
        'large_full_cpu_s_a_robot': (taken - started) / LARGE_ROBOTS,
        'large_delta_cpu_s_a_robot': (ended - taken) / LARGE_ROBOTS}


def _measure(metrics: dict[str, float], bars: dict[str, tuple[str, float]]) -> None:
    """Fill in figures, and the bars for them, as far as it gets."""
    bars |= {'left_behind': ('==', 0.0), 'p50_s': ('<=', 1.0), 'p99_s': ('<=', 3.0)}
    with tempfile.TemporaryDirectory() as folder:
        metrics |= {'robots': float(ROBOTS), **_small(Path(folder), ROBOTS)}
    with tempfile.TemporaryDirectory() as folder:
        alone = _small(Path(folder), 1)
    metrics |= {f'alone_{name}': alone[name] for name in (
        'left_behind', 'p50_s', 'p99_s', 'cpu_s_a_robot', 'cpu_s_publisher')}
    if LARGE_ROBOTS:
        bars |= {'large_left_behind': ('==', 0.0), 'large_full_max_s': ('<=', 20.0),
                 'large_delta_max_s': ('<=', 5.0), 'large_delta_fraction': ('<=', 0.25)}
        with tempfile.TemporaryDirectory() as folder:
            metrics |= _large(Path(folder))


def main() -> int:
    """Run the benchmark."""
    torch.set_num_threads(1)
    os.environ['ROS_DOMAIN_ID'] = str(free_domain())
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    os.environ['OMP_NUM_THREADS'] = '1'
    metrics: dict[str, float] = {'failed': 0.0}
    bars: dict[str, tuple[str, float]] = {'failed': ('==', 0.0)}
    try:
        _measure(metrics, bars)
    except (RuntimeError, OSError) as error:
        print(f'the benchmark did not get to its end: {error}')
        metrics['failed'] = 1.0
    metrics['load_average'] = psutil.getloadavg()[0]
    return report('weights', metrics, {
        name: bar for name, bar in bars.items() if name in metrics})


if __name__ == '__main__':
    sys.exit(main())
