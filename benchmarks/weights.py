# SPDX-License-Identifier: Apache-2.0
"""Policies to 16 robots: from published to running, and the swap beside a control path.

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
from pathlib import Path

import numpy as np
import psutil
import torch

from benchmarks.harness import quick, report
from g1_description.joints import COMMAND_NAMES, HOME, STATE_JOINTS
from lwd_bringup.domains import free_domain
from lwd_policy import canary, weights
from lwd_policy.card import PolicyCard, PolicyLayout
from lwd_policy.config import PolicyConfig
from lwd_policy.payload import CANARY_FILE
from lwd_policy.policy import FlowPolicy
from lwd_policy.published import Published
from lwd_policy.runtime import RuntimeConfig
from lwd_policy.signature import new_keys
from lwd_policy.store import card_of, save_policy

ROBOTS = 16
PROCESSES = 4
UPDATES = 3 if quick() else 20
# What one robot needs of memory at most while it applies a large delta.
_LARGE_MEMORY = 2.5e9
LARGE_ROBOTS = int(os.environ.get('LARGE_ROBOTS', '0' if quick() else str(
    min(ROBOTS, int(psutil.virtual_memory().available / _LARGE_MEMORY)))))
LARGE_LAYERS = 96  # of 3.1 million parameters
PATIENCE = 280.0
# Of AdamW in the midst of training after 50 updates at a rate of 2e-5; see benchmarks/delta.py.
_MOVE = 50 * 2e-5 * 0.3


class Fleet:
    """Publisher and robots as processes."""

    def __init__(self, folder: Path, robots: int, *, large: bool) -> None:
        """Start them and wait until they listen."""
        self.folder, self.robots = folder, robots
        private, _ = new_keys(folder / 'keys')
        self.published = Published(folder / 'published')
        self.seen: dict[str, dict[str, float]] = defaultdict(dict)
        self.ticks: list[tuple[str, int, float, float]] = []
        self._changed = threading.Condition()
        self._ready = 0
        self._children: list[subprocess.Popen[str]] = []
        share = -(-robots // PROCESSES)
        for first in range(1, robots + 1, share):
            count = min(share, robots + 1 - first)
            self._start([sys.executable, '-m', 'benchmarks.weights_robots', str(folder),
                         str(first), str(count), *(['--large'] if large else [])])
        self._readers = [threading.Thread(target=self._read, args=[child], daemon=True)
                         for child in self._children]
        for reader in self._readers:
            reader.start()
        self._until(lambda: self._ready == len(self._children))
        self._start([
            sys.executable, '-m', 'lwd_learner_bridge.publisher_node', '--ros-args',
            '-p', f'published:={folder / "published"}', '-p', f'signing_key:={private}'])

    def _start(self, command: list[str]) -> None:
        self._children.append(subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))

    def _read(self, child: subprocess.Popen[str]) -> None:
        assert child.stdout is not None
        for line in child.stdout:
            words = line.split()
            with self._changed:
                if words[0] == 'ready':
                    self._ready += 1
                elif words[0] == 'ticks':
                    self.ticks.append(
                        (words[1], int(words[2]), float(words[3]), float(words[4])))
                elif words[0].startswith('g1_'):
                    self.seen[words[1]][words[0]] = float(words[2])
                self._changed.notify_all()

    def _until(self, condition: object) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, PATIENCE):  # type: ignore[arg-type]
                raise RuntimeError(f'the robots did not follow within {PATIENCE:g} s')

    def publish(self, policy: Path, update: int) -> list[float]:
        """Publish a policy; return when each robot ran it, s after it was there to publish."""
        version = self.published.add(policy, update=update).version
        began = time.monotonic()
        self._until(lambda: len(self.seen[version]) == self.robots)
        return [moment - began for moment in self.seen[version].values()]

    def sent(self) -> int:
        """Return the bytes of the newest payloads."""
        return sum(file.stat().st_size for file in (
            self.folder / 'published' / '.payloads').iterdir())

    def cpu(self) -> tuple[float, float]:
        """Return the CPU time so far of all robots, and of the publisher, s."""
        spent = [sum(psutil.Process(child.pid).cpu_times()[:2]) for child in self._children]
        return sum(spent[:-1]), spent[-1]

    def close(self) -> None:
        """End all."""
        for child in self._children[:-1]:
            assert child.stdin is not None
            child.stdin.close()
        self._children[-1].terminate()
        for child in self._children:
            child.wait(30)
        for reader in self._readers:
            reader.join()


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
            card = save_policy(place, policy, card_of(
                policy.config, RuntimeConfig(), name='bench', algorithm='none', command='bench',
                seed=0, parent=parent))
            parent = card.version
            canary.save(place / CANARY_FILE, canary.neutral(policy.config))
            before = fleet.cpu()
            taken = fleet.publish(place, 50 * number)
            if number:
                robots_cpu, publisher_cpu = (
                    now - then for now, then in zip(fleet.cpu(), before))
                cpu.append((robots_cpu / robots, publisher_cpu))
                # The first one finds robots and publisher still looking for each other.
                deltas.extend(taken)
                sizes.append(fleet.sent() / (place / weights.WEIGHTS_FILE).stat().st_size)
            # Each robot says once a second what it has.
            time.sleep(1.2)
            with torch.no_grad():
                for parameter in policy.parameters():
                    parameter += _MOVE * torch.randn_like(parameter)
    finally:
        fleet.close()
    during = [(p99, worst) for kind, count, p99, worst in fleet.ticks
              if kind == 'swapping' and count]
    quiet = [(p99, worst) for kind, count, p99, worst in fleet.ticks if kind == 'quiet']
    return {
        'p50_s': float(np.percentile(deltas, 50)), 'p99_s': float(np.percentile(deltas, 99)),
        'delta_fraction': float(np.mean(sizes)),
        'cpu_s_a_robot': float(np.median([one for one, _ in cpu])),
        'cpu_s_publisher': float(np.median([one for _, one in cpu])),
        'tick_late_quiet_p99_ms': 1e3 * float(np.median([p99 for p99, _ in quiet])),
        'tick_late_swap_p99_ms': 1e3 * float(np.median([p99 for p99, _ in during])),
        'tick_late_swap_max_ms': 1e3 * max(worst for _, worst in during),
        'tick_late_quiet_max_ms': 1e3 * max(worst for _, worst in quiet)}


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
        value.add_(torch.randn(shape, generator=generator), alpha=_MOVE)
    weights.save(folder / 'second', {name: value.bfloat16() for name, value in before.items()},
                 first.child())
    del before
    fleet = Fleet(folder, LARGE_ROBOTS, large=True)
    try:
        full = fleet.publish(folder / 'first', 0)
        time.sleep(3.0)
        delta = fleet.publish(folder / 'second', 50)
        fraction = fleet.sent() / (folder / 'second' / weights.WEIGHTS_FILE).stat().st_size
    finally:
        fleet.close()
    return {
        'large_robots': LARGE_ROBOTS, 'large_full_max_s': max(full),
        'large_delta_max_s': max(delta), 'large_delta_fraction': fraction}


def main() -> int:
    """Run the benchmark."""
    torch.set_num_threads(1)
    os.environ['ROS_DOMAIN_ID'] = str(free_domain())
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    os.environ['OMP_NUM_THREADS'] = '1'
    with tempfile.TemporaryDirectory() as folder:
        metrics = {'robots': float(ROBOTS), **_small(Path(folder), ROBOTS)}
    with tempfile.TemporaryDirectory() as folder:
        alone = _small(Path(folder), 1)
    metrics |= {f'alone_{name}': alone[name] for name in (
        'p50_s', 'p99_s', 'cpu_s_a_robot', 'cpu_s_publisher')}
    metrics['load_average'] = psutil.getloadavg()[0]
    bars = {'p50_s': ('<=', 1.0), 'p99_s': ('<=', 3.0)}
    metrics['swap_delay_ms'] = max(
        0.0, metrics['tick_late_swap_p99_ms'] - metrics['tick_late_quiet_p99_ms'])
    bars['swap_delay_ms'] = ('<=', 5.0)
    if LARGE_ROBOTS:
        with tempfile.TemporaryDirectory() as folder:
            metrics |= _large(Path(folder))
        bars |= {'large_full_max_s': ('<=', 20.0), 'large_delta_max_s': ('<=', 5.0),
                 'large_delta_fraction': ('<=', 0.25)}
    return report('weights', metrics, bars)


if __name__ == '__main__':
    sys.exit(main())
