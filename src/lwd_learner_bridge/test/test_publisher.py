# SPDX-License-Identifier: Apache-2.0
"""Every robot gets what is published, by the shortest way, whatever is lost."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from learner_side import Accepting
from tiny_policies import saved, tiny, trained

from lwd_actor.reception.receiver import Receiver
from lwd_learner_bridge.errors import OfferError
from lwd_learner_bridge.fleet import Fleet
from lwd_learner_bridge.offers import OfferConfig, Offers
from lwd_learner_bridge.publisher import Publisher, SendConfig
from lwd_learner_bridge.rollout import Rollout, RolloutConfig, chance_of_so_few
from lwd_policy.manifest import PART_LIMIT
from lwd_policy.published import Published
from lwd_policy.shelf import ShelfWriter
from lwd_policy.signature import SigningKey, TrustedKeys, new_keys


class Site:
    """A publisher and robots, joined by a network that may lose parts, or whatever is said."""

    def __init__(
        self, folder, robots=2, *, loss=0.0, loses_all=False, rollout=None, send=None, **offers,
    ):
        self.folder, self.now, self.loss, self.loses_all = folder, 0.0, loss, loses_all
        self.random = random.Random(0)
        self.key = SigningKey.load(new_keys(folder / 'keys')[0])
        self.published = Published(folder / 'published')
        self.fleet = Fleet(clock=lambda: self.now)
        self.rollout = Rollout(rollout)
        self.offer_config = OfferConfig(part_bytes=4000, **offers)
        self.send = send
        self.manifests, self.parts = [], []
        self.robots = {}
        for number in range(1, robots + 1):
            self.join(number)
        self.restart()
        self.policy, self.versions = tiny(), []

    def restart(self):
        self.publisher = Publisher(
            self.published, Offers(self.folder / 'payloads', self.key, self.offer_config),
            self.fleet, self, rollout=self.rollout, config=self.send, clock=lambda: self.now)

    def lost(self, *, part=False):
        return (part or self.loses_all) and self.random.random() < self.loss

    def join(self, rank):
        shelf = ShelfWriter(self.folder / f'shelf{rank}')
        self.robots[rank] = Receiver(
            shelf, TrustedKeys.load(self.folder / 'keys'), Accepting(), rank=rank,
            clock=lambda: self.now)
        return self.robots[rank]

    def manifest(self, manifest):
        self.manifests.append(manifest)
        for robot in self.robots.values():
            if not self.lost():
                robot.manifest(manifest)

    def part(self, manifest, index, data):
        self.parts.append((manifest.payload_sha256, index))
        for robot in self.robots.values():
            if not self.lost(part=True):
                robot.part(manifest.version, manifest.payload_sha256, index, data)

    def flush(self):
        pass

    def listeners(self):
        return len(self.robots)

    def learn(self):
        number = len(self.versions)
        card = saved(self.folder / f'policy{number}', self.policy,
                     parent=self.versions[-1] if number else '')
        self.published.add(self.folder / f'policy{number}', update=50 * number)
        self.versions.append(card.version)
        self.policy = trained(self.policy, number + 1)

    def settle(self, rounds=60):
        """Let time pass until nobody wants anything."""
        for _ in range(rounds):
            for rank, robot in self.robots.items():
                running = robot.shelf.current() or ''
                if not self.lost():
                    self.fleet.report(f'g1_{rank:02d}', running, robot.shelf.versions(),
                                      robot.last_refusal[0])
            self.publisher.step(0.0)
            for robot in self.robots.values():
                wanted = robot.wanted()
                if wanted and not self.lost():
                    success, *_ = self.publisher.request(
                        wanted.version, wanted.payload_sha256, wanted.indices)
                    if not success and not self.lost():
                        robot.unavailable(wanted)
                robot.work(timeout=0.0)
            self.now += 0.5

    def running(self):
        return [robot.shelf.current() for robot in self.robots.values()]


def test_first_in_full_then_as_delta(tmp_path):
    site = Site(tmp_path)
    site.learn()
    site.settle()
    assert site.running() == site.versions * 2
    assert [one.encoding for one in site.manifests] == ['full']
    full = len(site.parts)
    site.learn()
    site.settle()
    assert site.running() == site.versions[1:] * 2
    assert [one.encoding for one in site.manifests] == ['full', 'delta']
    assert site.manifests[1].base == site.versions[0]
    assert len(site.parts) - full < full
    assert all(robot.refused == 0 for robot in site.robots.values())


@pytest.mark.parametrize('loss', [0.2, 0.6])
def test_lost_parts_are_sent_again(tmp_path, loss):
    site = Site(tmp_path, robots=3, loss=loss)
    for _ in range(2):
        site.learn()
        site.settle(200)
    assert site.running() == site.versions[1:] * 3


def test_whatever_is_lost_robots_follow_within_seconds(tmp_path):
    """Manifests, parts, questions, answers and reports: two of five never arrive."""
    site = Site(tmp_path, robots=8, loss=0.4, loses_all=True)
    for _ in range(3):
        site.learn()
        published = site.now
        while site.running() != site.versions[-1:] * 8:
            site.settle(1)
            assert site.now - published < 60.0, 'left behind'
    assert all(robot.refused == 0 for robot in site.robots.values())


def test_robot_that_missed_the_manifest_hears_it_again_ever_more_rarely(tmp_path):
    site = Site(tmp_path, robots=2)
    absent = site.robots.pop(2)
    site.learn()
    site.settle(4)
    assert len(site.manifests) == 1, 'who has it is not reminded'
    # It is there, but the manifest was lost on its way.
    site.manifests.clear()
    said, began = [], site.now
    for _ in range(80):
        site.fleet.report('g1_02', '', [])
        site.settle(1)
        said += [site.now - began] * (len(site.manifests) - len(said))
    assert said[0] <= 1.5
    assert 4 <= len(said) <= 7
    site.robots[2] = absent
    site.settle(40)
    assert site.running() == site.versions * 2
    # Nor is one that refused it.
    site.manifests.clear()
    for _ in range(40):
        site.fleet.report('g1_03', '', [], refused=site.versions[0])
        site.settle(1)
    assert site.manifests == []


def test_late_joiner_and_robot_with_a_gap(tmp_path):
    site = Site(tmp_path)
    site.learn()
    site.settle()
    absent = site.robots.pop(2)
    for _ in range(2):
        site.learn()
        site.settle()
    # Back again with the first version: it hears what is latched, a delta to one it has not.
    site.robots[2] = absent
    late = site.join(3)
    for robot in (absent, late):
        robot.manifest(site.manifests[-1])
    site.settle()
    assert site.running() == site.versions[2:] * 3
    assert site.manifests[-1].encoding == 'full'
    assert absent.refused == late.refused == 0


def test_each_base_gets_its_delta(tmp_path):
    site = Site(tmp_path, robots=3)
    site.learn()
    site.settle()
    pinned = site.robots.pop(3)
    site.learn()
    site.settle()
    site.robots[3] = pinned
    site.fleet.report('g1_03', site.versions[0], [site.versions[0]])
    site.manifests.clear()
    site.learn()
    site.settle()
    # The oldest version is on every shelf: one delta serves all three.
    assert [one.base for one in site.manifests] == [site.versions[0]]
    assert site.running() == site.versions[2:] * 3


def test_fleet_plan():
    fleet = Fleet(clock=lambda: 0.0)
    assert fleet.plan('d', ['c', 'b', 'a'], deltas=2) == ([], True)
    for robot, stored in {'1': 'cb', '2': 'c', '3': 'a', '4': 'd'}.items():
        fleet.report(robot, stored[0], stored)
    assert fleet.plan('d', ['c', 'b', 'a'], deltas=2) == (['c', 'a'], False)
    assert fleet.plan('d', ['c', 'b', 'a'], deltas=1) == (['c'], True)
    assert fleet.plan('d', [], deltas=2) == ([], True)


def test_silent_robot_does_not_count():
    now = [0.0]
    fleet = Fleet(silence=5.0, clock=lambda: now[0])
    fleet.report('1', 'a', ['a'])
    now[0] = 6.0
    fleet.report('2', 'b', ['b'])
    assert fleet.plan('c', ['b', 'a'], deltas=2) == (['b'], False)


def test_restarted_publisher_publishes_nothing_old_as_new(tmp_path):
    site = Site(tmp_path)
    for _ in range(2):
        site.learn()
        site.settle()
    before = site.manifests[-1].stamp_ns
    site.restart()
    site.settle()
    assert site.manifests[-1].stamp_ns == before
    assert site.manifests[-1].version == site.versions[1]
    assert all(robot.refused == 0 for robot in site.robots.values())


def test_large_payload_goes_by_url(tmp_path):
    store = tmp_path / 'store'
    store.mkdir()
    site = Site(tmp_path, store_url=f'file://{store}', url_above=1000)
    site.learn()
    site.settle()
    assert site.running() == site.versions * 2
    assert site.parts == []
    assert site.manifests[-1].url == f'file://{store}/{site.manifests[-1].payload_sha256}'
    assert site.manifests[-1].part_bytes == PART_LIMIT, 'ranges to fetch are no messages'


def test_store_that_is_not_there_is_named_and_tried_again(tmp_path):
    store = tmp_path / 'store'
    site = Site(tmp_path, store_url=f'file://{store}', url_above=1000)
    site.learn()
    with pytest.raises(OfferError, match='cannot be stored at'):
        site.publisher.step(0.0)
    store.mkdir()
    site.settle()
    assert site.running() == site.versions * 2


def test_requests_for_what_is_not_offered_are_declined(tmp_path):
    site = Site(tmp_path)
    assert site.publisher.request('ab', '', [])[0] is False
    site.learn()
    site.settle()
    version, manifest = site.versions[0], site.manifests[-1]
    assert site.publisher.request(version, 'ab' * 32, [])[:2] == (
        False, 'there is no payload abababababab any more; ask for the full weights')
    assert 'not one of them' in site.publisher.request(
        version, manifest.payload_sha256, [999])[1]
    assert site.publisher.request(version, manifest.payload_sha256, [0, 2]) == (True, '', 2)
    sent = len(site.parts)
    site.publisher.step(0.0)
    assert site.parts[sent:] == [(manifest.payload_sha256, 0), (manifest.payload_sha256, 2)]


def test_newer_publication_cuts_the_present_one_short(tmp_path):
    site = Site(tmp_path, send=SendConfig(window=2))
    site.learn()
    flushes = []

    def flush():
        flushes.append(1)
        if len(flushes) == 1:
            site.learn()

    site.flush = flush
    site.publisher.step(0.0)
    assert len(site.parts) == 2
    site.settle()
    assert site.running() == site.versions[1:] * 2


def test_acknowledgements_are_waited_for_after_each_window_only(tmp_path):
    """After the last parts it would take seconds until the middleware asks for them."""
    site = Site(tmp_path, send=SendConfig(window=4))
    flushes = []
    site.flush = lambda: flushes.append(len(site.parts))
    site.learn()
    site.publisher.step(0.0)
    assert len(site.parts) > 8
    assert flushes == list(range(4, len(site.parts), 4))


def _staged(tmp_path, **more):
    site = Site(tmp_path, robots=3, rollout=RolloutConfig(first=1, episodes=10))
    site.rollout.start('before')
    site.learn()
    site.settle()
    for _ in range(10):
        site.rollout.outcome(site.versions[0], success=True)
    site.settle()
    assert site.running() == site.versions * 3
    for number in range(30):
        site.rollout.outcome(site.versions[0], success=number % 5 > 0)
    site.learn()
    site.settle()
    assert site.running() == [site.versions[1], site.versions[0], site.versions[0]]
    return site


def test_staged_policy_goes_to_all_if_success_does_not_fall(tmp_path):
    site = _staged(tmp_path)
    for number in range(10):
        site.rollout.outcome(site.versions[1], success=number < 7)
    sent = len(site.parts)
    site.settle()
    assert site.running() == site.versions[1:] * 3
    assert len(site.parts) == sent, 'the others have it on their shelves already'
    # A restart does not begin with the first stage again.
    site.restart()
    site.settle()
    assert not site.publisher.staged


def test_staged_policy_is_taken_back_if_success_falls(tmp_path):
    site = _staged(tmp_path)
    for number in range(10):
        site.rollout.outcome(site.versions[1], success=number < 3)
    site.settle()
    assert site.running() == site.versions[:1] * 3
    assert site.published.latest().version == site.versions[0]
    assert not site.publisher.staged
    assert all(robot.refused == 0 for robot in site.robots.values())


def test_chance_of_so_few():
    # Fisher's tea: all four cups right by chance has 1/70; so has all four wrong.
    assert chance_of_so_few(0, 4, 4, 4) == pytest.approx(1 / 70)
    assert chance_of_so_few(4, 4, 0, 4) == pytest.approx(1.0)
    assert chance_of_so_few(3, 5, 0, 0) == pytest.approx(1.0)


def test_unsigned_offer_is_refused_by_robots(tmp_path):
    site = Site(tmp_path)
    site.key = None
    site.restart()
    site.learn()
    site.settle(5)
    assert site.running() == [None, None]
    assert all('not signed' in robot.last_refusal[1] for robot in site.robots.values())
    assert replace(site.manifests[-1]).signature == b''
