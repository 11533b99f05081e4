# SPDX-License-Identifier: Apache-2.0
"""Publisher and receivers as processes of their own, some of which are killed."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'src' / 'lwd_policy' / 'test'))
from tiny_policies import saved, tiny, trained

from lwd_policy import weights
from lwd_policy.published import Published
from lwd_policy.shelf import Shelf
from lwd_policy.signature import new_keys

# Only a test that fails waits so long.
PATIENCE = 300.0


class Site:
    def __init__(self, folder):
        self.folder = folder
        self.private, _ = new_keys(folder / 'keys')
        self.published = Published(folder / 'published')
        self.policy, self.versions, self.processes = tiny(), [], {}

    def start(self, name, module, namespace='/', **parameters):
        words = [word for key, value in parameters.items() for word in ('-p', f'{key}:={value}')]
        self.processes[name] = subprocess.Popen([
            sys.executable, '-m', module, '--ros-args', '-r', f'__ns:={namespace}', *words])

    def publisher(self):
        self.start('publisher', 'lwd_learner_bridge.publisher_node', '/lwd',
                   published=self.folder / 'published', signing_key=self.private,
                   **{'offers.part_bytes': 4000})

    def robot(self, number):
        name = f'g1_{number:02d}'
        self.start(name, 'lwd_actor.receiver_node', f'/{name}', robot=name,
                   shelf=self.folder / name, keys=self.folder / 'keys', niceness=0)

    def end(self, name, number=signal.SIGKILL):
        self.processes[name].send_signal(number)
        self.processes.pop(name).wait(PATIENCE)

    def learn(self):
        number = len(self.versions)
        place = self.folder / f'policy{number}'
        card = saved(place, self.policy, parent=self.versions[-1] if number else '')
        self.published.add(place, update=50 * number)
        self.versions.append(card.version)
        self.policy = trained(self.policy, number + 1)

    def settled(self, *numbers):
        """Wait until robots are to run the newest policy, and have all of it."""
        end = time.monotonic() + PATIENCE
        shelves = [Shelf(self.folder / f'g1_{number:02d}') for number in numbers]
        while any(shelf.current() != self.versions[-1] for shelf in shelves):
            assert time.monotonic() < end, [shelf.choice() for shelf in shelves]
            time.sleep(0.05)
        for shelf in shelves:
            assert weights.load(shelf.path(self.versions[-1]))[1].version == self.versions[-1]

    def close(self):
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait(PATIENCE)


@pytest.fixture
def site(ros_domain, tmp_path):
    with contextlib.closing(Site(tmp_path)) as found:
        yield found


@pytest.mark.timeout(2000)
def test_killed_receivers_and_restarted_publishers_go_on(site):
    site.learn()
    for number in (1, 2):
        site.robot(number)
    site.publisher()
    site.settled(1, 2)
    site.end('g1_02')
    site.learn()
    site.settled(1)
    site.robot(2)
    site.settled(1, 2)
    site.end('publisher', signal.SIGTERM)
    site.learn()
    site.publisher()
    site.settled(1, 2)
    for number in (1, 2):
        assert Shelf(site.folder / f'g1_{number:02d}').choice().faulty == {}
