# SPDX-License-Identifier: Apache-2.0
"""A robot's spool, a store that can fail, and a learner's side: no ROS, and no waiting."""

import random
from concurrent.futures import Executor, Future
from pathlib import Path

from episodes import write_episode

from lwd_data.replay.catalogue import Catalogue
from lwd_learner_bridge.errors import BridgeError, TransferError
from lwd_learner_bridge.ingest.config import IngestConfig
from lwd_learner_bridge.ingest.coordinator import Coordinator
from lwd_learner_bridge.store.notice import decode_answer, decode_notice
from lwd_learner_bridge.store.objects import ObjectStore
from lwd_learner_bridge.upload.config import UploadConfig
from lwd_learner_bridge.upload.uploader import Uploader

ROBOT = 'g1_01'


class Killed(BaseException):
    """In the place of a SIGKILL: nothing behind it is done."""


class AtOnce(Executor):
    """Does things at once, so that a test knows when they are done."""

    def submit(self, act, /, *args, **kwargs):
        done = Future()
        try:
            done.set_result(act(*args, **kwargs))
        except BridgeError as error:
            done.set_exception(error)
        return done


class FaultyStore:
    """A store that fails, or ends the process, at chosen calls.

    What fails may have been done all the same, as when an answer is lost on the way.
    """

    def __init__(self, inner, *, share=0.0, seed=0):
        self.inner = inner
        self.calls = 0
        self.kill_at = None
        """At which call the process ends, before (0) or after (1) the call is done."""
        self.down = False
        self.share = share
        self.random = random.Random(seed)
        self.log = []

    def local(self, key):
        return self.inner.local(key)

    def stream(self, key):
        return iter([self._do('stream', lambda: b''.join(self.inner.stream(key)), key)])

    def __getattr__(self, name):
        return lambda *args: self._do(name, lambda: getattr(self.inner, name)(*args), *args[:1])

    def _do(self, name, act, *args):
        if self.down:
            raise TransferError('the store is down')
        self.calls += 1
        self.log.append((name, *args))
        if self.kill_at == (self.calls, 0):
            raise Killed
        if self.random.random() < self.share:
            if self.random.random() < 0.5:
                act()
            raise TransferError(f'{name} failed')
        found = act()
        if self.kill_at == (self.calls, 1):
            raise Killed
        return found


class Site:
    """One store, any number of robots, one learner."""

    def __init__(self, folder, objects=None, wrap=lambda store: store):
        self.folder = Path(folder)
        self.objects = objects or ObjectStore(str(self.folder / 'store'))
        self.robot_side, self.learner_side = wrap(self.objects), wrap(self.objects)
        self.replay = self.folder / ('store' if objects is None else 'replay')
        self.now = 0.0
        self.said = []
        self.published = []

    def spool(self, name='spool'):
        return self.folder / name

    def record(self, name='ep1', robot=ROBOT, spool='spool', **changes):
        """Write an episode into a spool, of one second segments."""
        changes = {'steps': 75, 'segment_seconds': 1.0, **changes}
        return write_episode(self.spool(spool) / robot / name, robot=robot, **changes)

    def uploader(self, robot=ROBOT, spool='spool', announce=None, **config):
        config = {'announce_again': 5.0, 'confirm_poll': 0.1, **config}
        return Uploader(
            self.spool(spool), robot, self.robot_side, UploadConfig(**config),
            announce=announce or (lambda notice: None), report=self.said.append,
            clock=lambda: self.now, sleep=self.sleep)

    def coordinator(self, **config):
        config = {'snapshot_period': 0.1, 'list_period': 0.1, **config}
        return Coordinator(
            self.learner_side, self.replay, IngestConfig(**config), report=self.said.append,
            publish=self.published.append, clock=lambda: self.now, executor=AtOnce())

    def sleep(self, seconds):
        self.now += seconds

    def run(self, *cores, until=lambda: False, most=3000):
        """Let cores work by turns until all has come to rest, or a condition holds."""
        idle = 0
        for _ in range(most):
            delays = [core.work() for core in cores]
            if until():
                return
            idle = 0 if min(delays) == 0.0 else idle + 1
            quiet = all(core.unsettled() == 0 for core in cores if isinstance(core, Uploader))
            if idle > 5 and quiet and not self.inbox() and not any(
                    core._pending for core in cores if isinstance(core, Coordinator)):
                return
            self.now += 0.05
        raise AssertionError(f'not at rest after {most} rounds: {self.said[-5:]}')

    def settle(self, **config):
        """Upload and register all there is, with a new uploader and a new coordinator."""
        uploader = self.uploader(**config)
        try:
            coordinator = self.coordinator()
            try:
                self.run(uploader, coordinator)
            finally:
                coordinator.close()
        finally:
            uploader.close()
        return uploader, coordinator

    def inbox(self):
        return self.objects.names('inbox')

    def episodes(self):
        with Catalogue(self.replay) as catalogue:
            return {one.name: one for one in catalogue.snapshot().episodes()}

    def registered(self):
        """Return episode, number and SHA-256 of each row of the catalogue."""
        with Catalogue(self.replay) as catalogue:
            return catalogue._db.execute(
                'SELECT e.name, s.number, s.sha256 FROM segments s JOIN episodes e '
                'ON s.episode = e.number ORDER BY 1, 2').fetchall()


def uploaded(site, count=3, **config):
    """Upload what is in the spool; returns the notices."""
    uploader = site.uploader(**config)
    site.run(uploader, until=lambda: len(site.inbox()) == count)
    uploader.close()
    return [decode_notice(site.objects.read(key), key) for key in site.inbox()]


def taken(site):
    """Let a coordinator take the inbox."""
    coordinator = site.coordinator()
    for _ in range(50):
        coordinator.work()
        site.now += 0.05
    coordinator.close()
    return coordinator


def answers(site):
    return [decode_answer(site.objects.read(key), key) for key in site.objects.names('answers')]
