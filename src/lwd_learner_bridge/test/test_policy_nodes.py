# SPDX-License-Identifier: Apache-2.0
"""Publisher and receivers as real nodes on a graph of their own."""

from __future__ import annotations

import array
import math
from dataclasses import replace

import pytest
import rclpy
from graph import Graph
from rclpy.qos import QoSProfile
from rclpy.serialization import serialize_message
from std_srvs.srv import Trigger
from tiny_policies import saved, tiny, trained

from lwd_actor.receiver_node import ReceiverNode
from lwd_learner_bridge.offers import OfferConfig
from lwd_learner_bridge.policy_messages import manifest_message, part_message
from lwd_learner_bridge.publisher_node import FETCH_PARTS, MANIFEST, PART, PublisherNode
from lwd_msgs.msg import (
    ActionChunk,
    ControlStep,
    Episode,
    ExecutedCommand,
    PolicyManifest,
    PolicyPart,
    PolicyStatus,
)
from lwd_msgs.srv import FetchParts, RollbackPolicy
from lwd_policy.manifest import Manifest
from lwd_policy.payload import pack
from lwd_policy.published import Published
from lwd_policy.shelf import Shelf
from lwd_policy.signature import SigningKey, new_keys
from lwd_ros.errors import ParameterError
from lwd_ros.qos import LATCHED, PARTS, RECORD

_ALL = QoSProfile(depth=1000, durability=LATCHED.durability)


class Site:
    """A learner's folder, and nodes over it."""

    def __init__(self, domain, folder):
        self.folder = folder
        self.private, _ = new_keys(folder / 'keys')
        self.published = Published(folder / 'published')
        self.policy, self.versions = tiny(), []
        self.graph = Graph(domain)
        self.statuses = {}

    def publisher(self, **more):
        return self.graph.add(
            PublisherNode, namespace='/lwd', published=str(self.folder / 'published'),
            signing_key=str(self.private), offers__part_bytes=4000, poll=0.02, **more)

    def robot(self, number, **more):
        name = f'g1_{number:02d}'
        topic = f'/{name}/policy_status'
        self.statuses[number] = self.graph.listen(PolicyStatus, topic, _ALL)
        return self.graph.add(
            ReceiverNode, namespace=f'/{name}', robot=name, niceness=0,
            shelf=str(self.folder / f'shelf{number}'), keys=str(self.folder / 'keys'),
            receiver__patience=0.2, **more)

    def shelf(self, number):
        return Shelf(self.folder / f'shelf{number}')

    def learn(self):
        number = len(self.versions)
        card = saved(self.folder / f'policy{number}', self.policy,
                     parent=self.versions[-1] if number else '')
        self.published.add(self.folder / f'policy{number}', update=50 * number)
        self.versions.append(card.version)
        self.policy = trained(self.policy, number + 1)

    def settled(self, version, *numbers):
        self.graph.until(
            lambda: all(self.shelf(number).current() == version for number in numbers),
            f'{version[:12]} on {numbers}')

    def status(self, number, condition, what):
        self.graph.until(lambda: any(map(condition, list(self.statuses[number]))), what)


@pytest.fixture
def site(ros_domain, tmp_path):
    found = Site(ros_domain, tmp_path)
    yield found
    found.graph.close()


def test_policies_reach_robots_and_late_joiners(site):
    site.robot(1)
    site.publisher()
    site.learn()
    site.settled(site.versions[0], 1)
    manifests = site.graph.listen(PolicyManifest, MANIFEST, _ALL)
    site.status(1, lambda status: site.versions[0] in status.stored_versions, 'its report')
    site.learn()
    site.settled(site.versions[1], 1)
    assert manifests[-1].encoding == PolicyManifest.ENCODING_DELTA
    # It hears a delta to what it does not have, and asks for all of it.
    site.robot(2)
    site.settled(site.versions[1], 2)
    file = 'weights.safetensors'
    assert (site.shelf(2).path(site.versions[1]) / file).read_bytes() == (
        site.folder / 'policy1' / file).read_bytes()


def test_question_that_is_lost_with_a_publisher_is_asked_again(site):
    """The publisher ends after a robot asked it, and before it answered."""
    site.robot(1)
    site.learn()
    manifest = replace(pack(site.folder / 'policy0', site.folder / 'payload', part_bytes=4000),
                       stamp_ns=1).signed(SigningKey.load(site.private))
    node = site.graph.client
    gone = rclpy.create_node('gone', namespace='/lwd')
    service = gone.create_service(FetchParts, FETCH_PARTS, lambda _, answer: answer)
    manifests = node.create_publisher(PolicyManifest, MANIFEST, LATCHED)
    manifests.publish(manifest_message(manifest))
    site.graph.until(
        lambda: service.handle.service_take_request(FetchParts.Request)[1] is not None,
        'a question')
    gone.destroy_node()
    heard = []

    def answer(request, response):
        heard.append(request.payload_sha256)
        response.success = True
        return response

    node.create_service(FetchParts, FETCH_PARTS, answer)
    site.graph.until(lambda: heard == [manifest.payload_sha256], 'the question again')


def test_part_is_no_more_than_a_datagram():
    """Fast DDS cuts larger ones in fragments; a busy reader of those may hang for ever."""
    manifest = Manifest(version='f' * 64, payload_sha256='f' * 64)
    part = part_message(manifest, 2**32 - 1, bytes(OfferConfig().part_bytes))
    # 65,500 bytes is its limit for a message on every transport; RTPS headers take some of it.
    assert len(serialize_message(part)) < 65_500 - 500


def _chunk(version, value=0.0, seconds=0.01):
    return ActionChunk(policy_version=version, horizon=1, joint_names=['a'],
                       positions=array.array('d', [value]), inference_seconds=seconds)


def test_fault_rolls_back_and_is_told_with_its_reason(site):
    site.robot(1)
    site.publisher()
    for _ in range(2):
        site.learn()
        site.settled(site.versions[-1], 1)
    chunks = site.graph.client.create_publisher(ActionChunk, '/g1_01/action_chunk', RECORD)
    site.graph.until(chunks.get_subscription_count, 'the receiver')
    chunks.publish(_chunk(site.versions[1]))
    site.status(1, lambda status: status.running_version == site.versions[1], 'what runs')
    chunks.publish(_chunk(site.versions[1], math.nan))
    site.settled(site.versions[0], 1)
    site.status(
        1, lambda status: status.refused_version == site.versions[1]
        and 'not finite' in status.refused_reason
        and status.pending_version == site.versions[0], 'the reason')


def test_policy_that_the_policy_node_put_out_of_use_is_faulty(site):
    site.robot(1)
    site.publisher()
    for _ in range(2):
        site.learn()
        site.settled(site.versions[-1], 1)
    chunks = site.graph.client.create_publisher(ActionChunk, '/g1_01/action_chunk', RECORD)
    site.graph.until(chunks.get_subscription_count, 'the receiver')
    # It ran the first one, took the second, and went back.
    for number in (0, 1, 0):
        chunks.publish(_chunk(site.versions[number]))
    site.settled(site.versions[0], 1)
    site.status(1, lambda status: 'out of use' in status.refused_reason, 'the reason')


def test_clipped_policy_is_rolled_back(site):
    site.robot(1, faults__clip_ticks=20)
    site.publisher()
    for _ in range(2):
        site.learn()
        site.settled(site.versions[-1], 1)
    node = site.graph.client
    chunks = node.create_publisher(ActionChunk, '/g1_01/action_chunk', RECORD)
    steps = node.create_publisher(ControlStep, '/g1_01/control_step', RECORD)
    executed = node.create_publisher(ExecutedCommand, '/g1_01/executed_command', RECORD)
    site.graph.until(
        lambda: all(one.get_subscription_count() for one in (chunks, steps, executed)), 'topics')
    tick = 0

    def drive():
        nonlocal tick
        tick += 1
        chunks.publish(_chunk(site.versions[1]))
        steps.publish(ControlStep(
            tick=tick, source=ControlStep.SOURCE_POLICY, policy_version=site.versions[1]))
        executed.publish(ExecutedCommand(
            tick=tick, clips=array.array('B', [0, ExecutedCommand.CLIP_VELOCITY])))
        return site.shelf(1).current() == site.versions[0]

    site.graph.until(drive, 'the roll-back')
    site.status(1, lambda status: 'clips' in status.refused_reason, 'the reason')


def test_services_roll_back_pin_and_unpin(site):
    site.robot(1)
    site.publisher()
    for _ in range(2):
        site.learn()
        site.settled(site.versions[-1], 1)
    refused = site.graph.call(RollbackPolicy, 'rollback_policy', RollbackPolicy.Request(
        version='ab' * 32))
    assert not refused.success
    assert 'not on the shelf' in refused.message
    answer = site.graph.call(RollbackPolicy, 'rollback_policy', RollbackPolicy.Request(pin=True))
    assert answer.success, answer.message
    assert site.shelf(1).current() == site.versions[0]
    site.status(1, lambda status: status.pinned, 'the pin')
    site.learn()
    site.status(1, lambda status: site.versions[2] in status.stored_versions, 'the new one')
    assert site.shelf(1).current() == site.versions[0]
    assert site.graph.call(Trigger, 'unpin_policy').success
    assert site.shelf(1).current() == site.versions[2]


def test_staged_roll_out_is_decided_by_episodes(site):
    for number in (1, 2):
        site.robot(number)
    site.publisher(rollout__first=1, rollout__episodes=3)
    site.learn()
    site.settled(site.versions[0], 1)
    node = site.graph.client
    chunks = node.create_publisher(ActionChunk, '/g1_01/action_chunk', RECORD)
    episodes = node.create_publisher(Episode, '/g1_01/episode', LATCHED)
    site.graph.until(lambda: chunks.get_subscription_count() and episodes.get_subscription_count(),
                     'topics')
    chunks.publish(_chunk(site.versions[0]))
    site.status(1, lambda status: status.running_version == site.versions[0], 'what runs')
    assert site.shelf(2).current() is None
    count = 0

    def play():
        nonlocal count
        count += 1
        for state, label in ((Episode.STATE_RUNNING, Episode.LABEL_NONE),
                             (Episode.STATE_ENDED, Episode.LABEL_SUCCESS)):
            episodes.publish(Episode(episode_id=str(count), state=state, label=label))
        return site.shelf(2).current() == site.versions[0]

    site.graph.until(play, 'all robots')


class Forger:
    """Somebody else who speaks on the fleet's topics."""

    def __init__(self, site):
        self.site = site
        node = site.graph.client
        self._manifests = node.create_publisher(PolicyManifest, MANIFEST, LATCHED)
        self._parts = node.create_publisher(PolicyPart, PART, PARTS)
        site.graph.until(lambda: self._manifests.get_subscription_count()
                         and self._parts.get_subscription_count(), 'the receiver')

    def say(self, manifest, data=None):
        self._manifests.publish(manifest_message(manifest))
        if data is not None:
            for index in range(len(manifest.part_sha256)):
                at = index * manifest.part_bytes
                self._parts.publish(part_message(
                    manifest, index, data[at:at + manifest.part_bytes]))


def test_wrong_key_and_replay_over_topics(site, tmp_path):
    site.robot(1)
    publisher = site.publisher()
    for _ in range(2):
        site.learn()
        site.settled(site.versions[-1], 1)
    forger = Forger(site)
    manifest = pack(site.folder / 'policy0', tmp_path / 'payload', part_bytes=4000)
    data = (tmp_path / 'payload').read_bytes()
    own = SigningKey.load(new_keys(tmp_path / 'forged')[0])
    forger.say(replace(manifest, stamp_ns=2**62).signed(own), data)
    site.status(1, lambda status: 'not of the trusted key' in status.refused_reason, 'a refusal')
    # As it was signed once.
    old = replace(manifest, stamp_ns=site.published.all()[-1].stamp_ns)
    forger.say(old.signed(SigningKey.load(site.private)), data)
    site.status(1, lambda status: 'replayed' in status.refused_reason, 'a refusal')
    assert site.shelf(1).current() == site.versions[1]
    health = publisher._health()
    assert '1 more on /lwd/policy/manifest' in health.message


def test_second_publisher_stays_silent(site):
    site.robot(1)
    site.publisher()
    site.learn()
    site.settled(site.versions[0], 1)
    other = site.graph.add(
        PublisherNode, namespace='/other', published=str(site.folder / 'elsewhere'),
        signing_key=str(site.private), poll=0.02)
    saved(site.folder / 'foreign', tiny(5))
    Published(site.folder / 'elsewhere').add(site.folder / 'foreign', update=1)
    site.learn()
    site.settled(site.versions[1], 1)
    assert other.publisher.current is None
    assert 'Nothing is sent until then' in other._health().message


def test_receiver_without_keys_does_not_start(site):
    with pytest.raises(ParameterError, match='lwd keys new'):
        site.graph.add(ReceiverNode, shelf=str(site.folder / 'shelf'))
    site.robot(1)
    with pytest.raises(ParameterError, match='parameter shelf'):
        site.robot(1)
