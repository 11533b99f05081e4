# SPDX-License-Identifier: Apache-2.0
"""The loop under repeated kills: every kind of its processes, SIGKILL at random moments.

A simulated fleet deploys and learns while a process of it is killed every 30 to 60 s: driver,
arbiter, recorder, policy, receiver, uploader, teleoperation, operator, coordinator, learner,
publisher, and supervisord, which takes all with it. In the end the fleet must have healed by
itself, and what it recorded is held against the store.

MINUTES=6, ROBOTS=1 and SEED=3 change it, PATIENCE=600 waits longer on a busy machine for the fleet
to begin and to heal; KEEP=folder leaves everything there.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor

from benchmarks.harness import quick, report
from benchmarks.kills_watch import Kill, Watcher, backward, gaps, tails
from lwd_bringup.config import load
from lwd_bringup.domains import free_domain
from lwd_bringup.fleet_config import KEYS, RUN, SPOOL, STORE, FleetBringup, robots
from lwd_bringup.loop.audit import audit
from lwd_bringup.loop.state import quantile
from lwd_bringup.nodes import environment, plan
from lwd_bringup.prepare import prepare
from lwd_bringup.supervise import Supervised
from lwd_policy.published import Published

MINUTES = float(os.environ.get('MINUTES', '0.3' if quick() else '30'))
ROBOTS = int(os.environ.get('ROBOTS', '1' if quick() else '2'))
SEED = int(os.environ.get('SEED', '0'))
BETWEEN = (3.0, 5.0) if quick() else (30.0, 60.0)
PATIENCE = float(os.environ.get('PATIENCE', '180'))
_TRANSPORTS = 'FASTDDS_BUILTIN_TRANSPORTS'
SUPERVISOR = 'supervisord'
TAIL = 0.5
"""Seconds that may be missing at the end of an episode whose recorder was killed."""
SETTINGS = {
    'robot.recorder.session.tasks': ['restock', 'cooler'], 'learner.learner.first_windows': 100,
    'learner.learner.windows_per_update': 5.0,
    'learner.learner.train.hg_dagger.online_updates': 10}


class Bench:
    """A fleet, and who kills in it."""

    def __init__(self, supervised: Supervised, watcher: Watcher) -> None:
        self.supervised, self.watcher = supervised, watcher
        self.kills: list[Kill] = []
        self.healing = 0.0
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(watcher)
        self._chance = random.Random(SEED)
        self._bag: list[str] = []
        self._checked = 0.0

    def until(self, done: Callable[[], bool], patience: float) -> bool:
        """Listen, heal and note who is well again, until something holds."""
        end = time.monotonic() + patience
        while not done():
            if time.monotonic() > end:
                return False
            self._executor.spin_once(timeout_sec=0.1)
            if time.monotonic() - self._checked > 1.0:
                self.supervised.heal()
                self._checked = time.monotonic()
            for kill in self.kills:
                if kill.healed == float('inf') and self._well_since(kill):
                    kill.healed = time.monotonic() - kill.moment
        return True

    def _well_since(self, kill: Kill) -> bool:
        names = list(self.supervised.pids) if kill.node == SUPERVISOR else [kill.node]
        # What it said just before may arrive just after.
        return bool(names) and all(
            self.watcher.well.get(name.replace('.', '/'), 0.0) > kill.moment + 1.0
            for name in names)

    def all_well(self) -> bool:
        """Whether every node runs, and has lately said that it is well."""
        states, now = self.supervised.states(), time.monotonic()
        return bool(states) and set(states.values()) == {'RUNNING'} and all(
            now - self.watcher.well.get(name.replace('.', '/'), 0.0) < 5.0 for name in states)

    def kill(self) -> None:
        """Kill the next kind of process; every kind has its turn before one comes again."""
        names = sorted(self.supervised.pids)
        if not self._bag:
            self._bag = [*{name.partition('.')[2] for name in names}, SUPERVISOR]
            self._bag.sort()
            self._chance.shuffle(self._bag)
        kind = self._bag.pop()
        if kind == SUPERVISOR:
            name, pid = SUPERVISOR, self.supervised.pid
        else:
            name = self._chance.choice([one for one in names if one.endswith('.' + kind)] or names)
            pid = self.supervised.pids[name]
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            # It is just being started again.
            return
        self.kills.append(Kill(
            name.replace('.', '/'), time.monotonic(), time.time(),
            ticks={robot: heard[-1] for robot, heard in self.watcher.ticks.items() if heard}))
        print(f'{self.watcher.seconds:7.1f} s  {name} killed', flush=True)

    def run(self) -> dict[str, float]:
        """Kill for the time, then wait until all is well again."""
        fact = self.watcher.fact
        if not self.until(lambda: self.all_well() and bool(fact.episodes), PATIENCE):
            raise TimeoutError(f'the fleet did not begin: {self.watcher.complaints}, '
                               f'{self.supervised.states()}')
        began, end = self.watcher.seconds, time.monotonic() + 60.0 * MINUTES
        while (left := end - time.monotonic()) > 0.0:
            self.until(lambda: False, min(left, self._chance.uniform(*BETWEEN)))
            if time.monotonic() < end:
                self.supervised.states()
                self.kill()
        last, known = self.watcher.seconds, len(fact.policies)
        healed = self.until(self.all_well, PATIENCE)
        before = {robot.name: robot.episodes for robot in fact.robots.values()}
        goes_on = self.until(lambda: all(
            robot.episodes > before[robot.name] for robot in fact.robots.values()), PATIENCE)
        learns = self.until(lambda: len(fact.policies) > known, PATIENCE)
        # Not all of them: what ended as its recorder was stopped may have lost its label.
        arrived = self.until(lambda: all(
            any(each.robot == name and each.ended > last and each.sampleable >= 0.0
                for each in fact.episodes) for name in before), PATIENCE)
        times = [kill.healed for kill in self.kills]
        return {
            'minutes': MINUTES, 'robots': ROBOTS, 'kills': len(self.kills),
            'kinds_killed': len({kill.node.rpartition('/')[2] for kill in self.kills}),
            'nodes_well_again': float(healed), 'not_healed': sum(map(np.isinf, times)),
            'healed_s_p50': quantile(times, 0.5) or 0.0, 'healed_s_max': max(times, default=0.0),
            'episodes': len(fact.episodes), 'episodes_go_on': float(goes_on),
            'uploads_go_on': float(arrived), 'learning_goes_on': float(learns),
            'episodes_a_minute': 60.0 * len(fact.episodes) / max(last - began, 1.0)}


def judge(folder: Path, watcher: Watcher, kills: list[Kill]) -> dict[str, float]:
    """Hold what was recorded and what ran against what may be."""
    found = audit(folder / STORE, folder / SPOOL)
    broken = {name: places for name, files in found.files.items() if (places := gaps(files))}
    lost = tails(folder / SPOOL, found, kills)
    published = Published(folder / RUN / 'published')
    numbers = [one.number for one in reversed(published.all())]
    ran = {version for versions in watcher.ran.values() for version in versions}
    # The manifest of a version that was soon replaced may not have been heard; what it is a hash
    # of then still has to be what this fleet's learner published.
    own = {one.version for one in published.all()}
    for title, names in (
            ('lost', found.lost), ('doubled', found.doubled), ('quarantined', found.quarantined),
            ('unreadable', found.unreadable), ('gaps', [f'{a}: {b}' for a, b in broken.items()]),
            ('not signed', watcher.forged), ('waiting', found.waiting)):
        for name in names:
            print(f'{title}: {name}')
    return {
        'segments': found.registered + len(found.waiting), 'segments_waiting': len(found.waiting),
        'segments_lost': len(found.lost), 'segments_doubled': len(found.doubled),
        'segments_quarantined': len(found.quarantined),
        'episodes_unreadable': len(found.unreadable), 'episodes_with_gaps': len(broken),
        'recorders_interrupted': len(lost), 'tail_lost_s_max': max(lost.values(), default=0.0),
        'policies': len(numbers), 'policies_run': len(ran),
        'policies_run_heard_signed': len(ran & watcher.signed),
        'unsigned_run': len(ran - watcher.signed - own) + len(watcher.forged),
        'went_backward': sum(backward(versions, published) for versions in watcher.ran.values()),
        'publications_out_of_order': sum(
            behind != before + 1 for before, behind in itertools.pairwise(numbers))}


def run(folder: Path) -> int:
    """Run the benchmark in a folder."""
    config = load('fleet', {
        'robots': ROBOTS, 'folder': str(folder), 'domain': free_domain(), **SETTINGS})
    assert isinstance(config, FleetBringup)
    os.environ.update(environment(config))
    prepare(config)
    supervised = Supervised(
        plan(config), folder, environment={**environment(config), _TRANSPORTS: 'DEFAULT'},
        log_level=config.log_level)
    # Who judges must outlive those who are killed: one that dies while it holds a lock in shared
    # memory may take with it whoever listens to it there.
    os.environ[_TRANSPORTS] = 'UDPv4'
    rclpy.init()
    watcher = Watcher([one.robot for one in robots(config)], folder / STORE, folder / KEYS)
    bench = Bench(supervised, watcher)
    try:
        with supervised.running():
            metrics = bench.run()
        metrics |= judge(folder, watcher, bench.kills)
    finally:
        watcher.destroy_node()
        rclpy.try_shutdown()
    zero = ('not_healed', 'segments_lost', 'segments_doubled', 'segments_quarantined',
            'episodes_unreadable', 'episodes_with_gaps', 'unsigned_run', 'went_backward',
            'publications_out_of_order')
    one = ('nodes_well_again', 'episodes_go_on', 'uploads_go_on', 'learning_goes_on')
    return report('kills', metrics, {
        'kills': ('>=', 1.0), 'tail_lost_s_max': ('<=', TAIL),
        **dict.fromkeys(zero, ('==', 0.0)), **dict.fromkeys(one, ('==', 1.0))})


def main() -> int:
    """Run the benchmark."""
    if place := os.environ.get('KEEP'):
        return run(Path(place).absolute())
    with tempfile.TemporaryDirectory() as folder:
        return run(Path(folder))


if __name__ == '__main__':
    sys.exit(main())
