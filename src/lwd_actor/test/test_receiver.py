# SPDX-License-Identifier: Apache-2.0
"""What arrives becomes the policy that was signed, or is refused with a reason."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learner_side import Accepting, LearnerSide, send
from tiny_policies import saved, tiny, trained

from lwd_actor.errors import ReceptionError
from lwd_actor.reception.config import ReceiverConfig
from lwd_actor.reception.receiver import Receiver
from lwd_actor.reception.trial import Trial
from lwd_policy.errors import DeltaError, ShelfError
from lwd_policy.shelf import Shelf, ShelfWriter
from lwd_policy.signature import SigningKey, new_keys


@pytest.fixture(scope='module')
def learner(tmp_path_factory):
    return LearnerSide(tmp_path_factory.mktemp('learner'), count=4)


class Robot:
    """A receiver with a clock that only moves when told."""

    def __init__(self, folder, learner, judge=None, **more):
        self.now = 0.0
        self.said = []
        self.shelf = ShelfWriter(folder)
        self.receiver = Receiver(
            self.shelf, learner.trusted, judge or Accepting(), clock=lambda: self.now,
            on_change=self.said.append, **more)

    def take(self, manifest, parts, order=None):
        self.receiver.manifest(manifest)
        send(self.receiver, manifest, parts, order)
        self.work()

    def work(self):
        self.receiver.work(timeout=0.0)

    @property
    def current(self):
        return Shelf(self.shelf.folder).current()

    @property
    def reason(self):
        return self.receiver.last_refusal[1]

    def close(self):
        self.receiver.close()
        self.shelf.close()


@pytest.fixture
def robot(tmp_path, learner):
    found = Robot(tmp_path / 'shelf', learner)
    yield found
    found.close()
    assert not list((tmp_path / 'shelf').glob('.*.part')), 'nothing half done is left behind'


def test_full_then_deltas(robot, learner):
    robot.take(*learner.offer(0))
    assert robot.current == learner.versions[0]
    for number in (1, 2):
        robot.take(*learner.offer(number, base=number - 1))
        assert robot.current == learner.versions[number]
        weights = robot.shelf.path(robot.current) / 'weights.safetensors'
        assert weights.read_bytes() == (learner.place(number) / weights.name).read_bytes()
    assert robot.receiver.refused == 0


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_whatever_order_and_damage_of_parts(learner, data):
    """Lost, repeated, reordered, changed parts: the rest is asked for, and what runs is whole."""
    manifest, parts = learner.offer(0)
    folder = Path(tempfile.mkdtemp())
    robot = Robot(folder, learner)
    try:
        robot.receiver.manifest(manifest)
        events = data.draw(st.lists(st.tuples(
            st.integers(0, len(parts) - 1),
            st.sampled_from(['good', 'good', 'flip', 'cut', 'long', 'other', 'beyond'])),
            max_size=40))
        good = set()
        for index, kind in events:
            part, sha, place = bytearray(parts[index]), manifest.payload_sha256, index
            if kind == 'flip':
                bit = data.draw(st.integers(0, 8 * len(part) - 1))
                part[bit // 8] ^= 1 << bit % 8
            elif kind == 'cut':
                del part[-1]
            elif kind == 'long':
                part.append(0)
            elif kind == 'other':
                sha = 'ab' * 32
            elif kind == 'beyond':
                place = len(parts) + index
            else:
                good.add(index)
            robot.receiver.part(manifest.version, sha, place, bytes(part))
            robot.work()
        if len(good) < len(parts):
            assert robot.current is None
            robot.now += 5.0
            request = robot.receiver.wanted()
            assert set(request.indices) == set(range(len(parts))) - good
            assert request.payload_sha256 == manifest.payload_sha256
            send(robot.receiver, manifest, parts, request.indices)
            robot.work()
        assert robot.current == manifest.version
        file = robot.shelf.path(robot.current) / 'weights.safetensors'
        assert file.read_bytes() == (learner.place(0) / file.name).read_bytes()
        assert robot.receiver.refused == 0
    finally:
        robot.close()
        shutil.rmtree(folder)


def test_missing_parts_are_asked_for_after_patience_and_ever_more_rarely(robot, learner):
    manifest, parts = learner.offer(0)
    robot.receiver.manifest(manifest)
    send(robot.receiver, manifest, parts, [0, 2])
    assert robot.receiver.wanted() is None
    asked = []
    for _ in range(180):
        robot.now = round(robot.now + 0.1, 1)
        request = robot.receiver.wanted()
        if request:
            asked.append(robot.now)
            assert request.indices == tuple(i for i in range(len(parts)) if i not in (0, 2))
    assert asked == pytest.approx([1.0, 3.0, 7.0, 12.0, 17.0], abs=0.51)
    send(robot.receiver, manifest, parts)
    robot.work()
    robot.now += 100.0
    assert robot.receiver.wanted() is None


def test_late_joiner_asks_for_full_weights_at_once(robot, learner):
    delta, _ = learner.offer(2, base=1)
    robot.receiver.manifest(delta)
    request = robot.receiver.wanted()
    assert (request.version, request.payload_sha256, request.indices) == (
        learner.versions[2], '', ())
    assert robot.receiver.pending() == (learner.versions[2], 0, 0)
    robot.take(*learner.offer(2))
    assert robot.current == learner.versions[2]


def test_payload_that_is_not_there_any_more_is_asked_for_in_full(robot, learner):
    robot.take(*learner.offer(0))
    delta, parts = learner.offer(1, base=0)
    robot.receiver.manifest(delta)
    send(robot.receiver, delta, parts, [0])
    robot.now += 5.0
    robot.receiver.unavailable(robot.receiver.wanted())
    robot.now += 5.0
    assert robot.receiver.wanted().payload_sha256 == ''
    # The rest comes all the same, or all of it anew.
    send(robot.receiver, delta, parts, [1])
    robot.now += 5.0
    assert robot.receiver.wanted().payload_sha256 == delta.payload_sha256
    robot.now += 5.0
    robot.receiver.unavailable(robot.receiver.wanted())
    robot.take(*learner.offer(1))
    assert robot.current == learner.versions[1]
    assert robot.receiver.refused == 0


@pytest.mark.parametrize('damage', ['flipped', 'cut', 'gone'])
def test_damaged_base_falls_back_to_full_weights(robot, learner, damage):
    robot.take(*learner.offer(0))
    file = robot.shelf.path(learner.versions[0]) / 'weights.safetensors'
    data = bytearray(file.read_bytes())
    data[-3] ^= 8
    file.write_bytes(data if damage == 'flipped' else data[:-4])
    if damage == 'gone':
        file.unlink()
    robot.take(*learner.offer(1, base=0))
    assert robot.current == learner.versions[0]
    assert robot.receiver.wanted().payload_sha256 == ''
    robot.take(*learner.offer(1))
    assert robot.current == learner.versions[1]


def test_full_weights_that_are_offered_while_a_delta_fails_are_taken(tmp_path, learner):
    class Hearing(Accepting):
        """Hears of the full weights in the midst of a delta that does not work out."""

        def __call__(self, unpacked, running):
            if robot.shelf.current() == learner.versions[0] and not hearing:
                hearing.append(1)
                robot.receiver.manifest(full)
                raise DeltaError('another base')

    hearing = []
    robot = Robot(tmp_path / 'shelf', learner, Hearing())
    full, parts = learner.offer(1)
    robot.take(*learner.offer(0))
    robot.take(*learner.offer(1, base=0))
    assert hearing
    # The manifest does not come again: these parts are all that does.
    send(robot.receiver, full, parts)
    robot.work()
    assert robot.current == learner.versions[1]
    robot.close()


def test_older_policy_replayed_as_new_is_refused(robot, learner):
    old = learner.offer(0)
    robot.take(*old)
    robot.take(*learner.offer(1))
    robot.take(*old)
    assert robot.current == learner.versions[1]
    assert 'replayed' in robot.reason
    assert robot.receiver.last_refusal[0] == learner.versions[0]
    # Also by a receiver that has just started.
    robot.receiver.close()
    again = Receiver(robot.shelf, learner.trusted, Accepting())
    again.manifest(old[0])
    assert 'replayed' in again.last_refusal[1]
    # The one that it runs is no news.
    again.manifest(learner.offer(1)[0])
    assert again.refused == 1


def test_replay_is_refused_while_a_newer_one_is_received(robot, learner):
    manifest, parts = learner.offer(1)
    robot.receiver.manifest(manifest)
    robot.receiver.manifest(learner.offer(0)[0])
    assert 'two publishers' in robot.reason
    send(robot.receiver, manifest, parts)
    robot.work()
    assert robot.current == learner.versions[1]


def test_learner_may_go_back_by_publishing_anew(robot, learner):
    for number in (0, 1):
        robot.take(*learner.offer(number))
    manifest, _ = learner.offer(0)
    robot.receiver.manifest(replace(manifest, stamp_ns=2000).signed(learner.key))
    assert robot.current == learner.versions[0]


def test_wrong_key_and_unsigned_are_refused_and_the_right_one_still_comes(
    robot, learner, tmp_path,
):
    manifest, parts = learner.offer(0)
    other = SigningKey.load(new_keys(tmp_path / 'other')[0])
    for forged, text in ((manifest.signed(other), 'not of the trusted key'),
                         (replace(manifest, signature=b''), 'not signed')):
        robot.take(forged, parts)
        assert text in robot.reason
    assert robot.current is None
    assert robot.receiver.refused == 2
    robot.take(manifest, parts)
    assert robot.current == learner.versions[0]


def test_two_publishers_with_different_lines(robot, learner, tmp_path):
    """Whatever they interleave, the newer publication comes through, and nothing is mixed."""
    first, first_parts = learner.offer(0)
    second, second_parts = learner.offer(1)
    for index in range(max(len(first_parts), len(second_parts))):
        for manifest, parts in ((first, first_parts), (second, second_parts)):
            robot.receiver.manifest(manifest)
            if index < len(parts):
                send(robot.receiver, manifest, parts, [index])
    robot.work()
    robot.now += 5.0
    request = robot.receiver.wanted()
    if request:
        send(robot.receiver, second, second_parts, request.indices)
        robot.work()
    assert robot.current == learner.versions[1]
    assert robot.receiver.refused


def test_full_disk_is_a_refusal_and_is_tried_again(robot, learner, monkeypatch):
    manifest, parts = learner.offer(0)

    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr(os, 'posix_fallocate', full)
        robot.take(manifest, parts)
    assert 'No space left on device; make room' in robot.reason
    with monkeypatch.context() as patch:
        robot.now += 31.0
        assert robot.receiver.wanted() is None
        patch.setattr(os, 'pwrite', full)
        send(robot.receiver, manifest, parts)
    assert robot.current is None
    with monkeypatch.context() as patch:
        robot.now += 31.0
        robot.receiver.wanted()
        patch.setattr(os, 'fsync', full)
        send(robot.receiver, manifest, parts)
        robot.work()
    assert 'No space left' in robot.reason
    assert robot.current is None
    robot.now += 31.0
    robot.receiver.wanted()
    send(robot.receiver, manifest, parts)
    robot.work()
    assert robot.current == learner.versions[0]


def test_newer_publication_replaces_the_one_that_comes_in(robot, learner):
    old, old_parts = learner.offer(0)
    robot.receiver.manifest(old)
    send(robot.receiver, old, old_parts, [0, 1])
    new, new_parts = learner.offer(1)
    robot.receiver.manifest(new)
    send(robot.receiver, old, old_parts)
    robot.work()
    assert robot.current is None
    send(robot.receiver, new, new_parts)
    robot.work()
    assert robot.current == learner.versions[1]


def test_staged_roll_out(tmp_path, learner):
    first, third = (Robot(tmp_path / str(rank), learner, rank=rank) for rank in (1, 3))
    manifest, parts = learner.offer(0, rollout_first=2)
    for robot in (first, third):
        robot.take(manifest, parts)
    assert first.current == learner.versions[0]
    assert third.current is None
    # It is there already when its turn comes.
    everybody = replace(manifest, rollout_first=0).signed(learner.key)
    for robot in (first, third):
        robot.receiver.manifest(everybody)
        assert robot.current == learner.versions[0]
        assert robot.receiver.refused == 0
        robot.close()


def test_pin_holds_and_unpin_follows(robot, learner):
    robot.take(*learner.offer(0))
    assert robot.receiver.roll_back(learner.versions[0], pin=True) == learner.versions[0]
    robot.take(*learner.offer(1))
    assert robot.current == learner.versions[0]
    assert robot.shelf.versions()[0] == learner.versions[1]
    assert robot.receiver.unpin() == learner.versions[1]
    assert robot.current == learner.versions[1]


def test_roll_back_by_hand_lasts_until_something_newer_comes(robot, learner):
    for number in (0, 1):
        robot.take(*learner.offer(number))
    assert robot.receiver.roll_back() == learner.versions[0]
    robot.take(*learner.offer(1))
    assert robot.current == learner.versions[0]
    robot.take(*learner.offer(2))
    assert robot.current == learner.versions[2]
    # Back from here is the one before that was rolled back from.
    assert robot.receiver.roll_back() == learner.versions[0]
    assert robot.receiver.roll_back(learner.versions[1]) == learner.versions[1]
    with pytest.raises(ShelfError, match='not on the shelf'):
        robot.receiver.roll_back('ab' * 32)


def test_nothing_to_roll_back_to_is_said(robot, learner):
    with pytest.raises(ReceptionError, match='no good policy ran before'):
        robot.receiver.roll_back()
    robot.take(*learner.offer(0))
    with pytest.raises(ReceptionError, match=learner.versions[0][:12]):
        robot.receiver.roll_back()


def test_fault_goes_back_and_is_not_run_again(robot, learner):
    for number in (0, 1):
        robot.take(*learner.offer(number))
    assert robot.receiver.fault(learner.versions[1], 'was clipped') == learner.versions[0]
    assert robot.current == learner.versions[0]
    assert robot.receiver.last_refusal == (learner.versions[1], 'was clipped')
    # Not once more for the same, nor for one that does not run any more.
    assert robot.receiver.fault(learner.versions[1], 'was clipped') == learner.versions[0]
    assert robot.receiver.refused == 1
    manifest, _ = learner.offer(1)
    robot.receiver.manifest(replace(manifest, stamp_ns=3000).signed(learner.key))
    assert robot.current == learner.versions[0]
    assert 'ran here before, and was clipped' in robot.reason
    robot.take(*learner.offer(2))
    assert robot.current == learner.versions[2]


def test_only_policy_has_nothing_to_go_back_to(robot, learner):
    robot.take(*learner.offer(0))
    assert robot.receiver.fault(learner.versions[0], 'was slow') == learner.versions[0]
    assert any('no good policy before it' in text for text in robot.said)


def test_shelf_keeps_the_newest(tmp_path, learner):
    robot = Robot(tmp_path / 'shelf', learner, config=ReceiverConfig(keep=2))
    for number in range(4):
        robot.take(*learner.offer(number))
    assert robot.shelf.versions() == learner.versions[:1:-1]
    robot.close()


def test_payload_by_url(robot, learner, tmp_path):
    store = tmp_path / 'store'
    store.mkdir()
    manifest, parts = learner.offer(0, url=f'file://{store}/payload')
    robot.receiver.manifest(manifest)
    robot.work()
    assert 'cannot be fetched' in robot.reason
    data = b''.join(parts)
    flipped = bytearray(data)
    flipped[len(parts[0]) + 5] ^= 1
    (store / 'payload').write_bytes(flipped)
    robot.now += 60.0
    robot.work()
    assert 'part 1' in robot.reason
    assert 'not as signed' in robot.reason
    (store / 'payload').write_bytes(data)
    robot.now += 60.0
    robot.work()
    assert robot.current == learner.versions[0]
    assert robot.receiver.wanted() is None


@pytest.fixture
def strict(tmp_path, learner):
    found = Robot(tmp_path / 'strict', learner, judge=Trial())
    found.take(*learner.offer(0))
    assert found.current == learner.versions[0]
    yield found
    found.close()


def test_real_trial_lets_the_line_pass(strict, learner):
    for number in (1, 2):
        strict.take(*learner.offer(number, base=number - 1))
        assert strict.current == learner.versions[number], strict.reason


def test_policy_that_fails_the_canary_is_refused_and_the_good_one_stays(strict, learner, tmp_path):
    other = LearnerSide.__new__(LearnerSide)
    other.folder, other.key = tmp_path, learner.key
    policy = trained(tiny(), 1)
    name, buffer = next((name, value) for name, value in policy.actions.named_buffers()
                        if name.startswith('quantiles') and value.numel() > 1)
    with torch.no_grad():
        buffer.mul_(1000.0)
    card = saved(tmp_path / 'policy1', policy)
    strict.take(*other.offer(1))
    assert strict.current == learner.versions[0], name
    assert strict.receiver.last_refusal[0] == card.version
    assert 'on stored observation' in strict.reason
    # It is not taken once more.
    strict.receiver.manifest(other.offer(1)[0])
    assert strict.receiver.pending() == ('', 0, 0)


def test_policy_of_another_layout_is_refused(strict, learner, tmp_path):
    from tiny_policies import CONFIG

    from lwd_policy.policy import FlowPolicy

    other = LearnerSide.__new__(LearnerSide)
    other.folder, other.key = tmp_path, learner.key
    saved(tmp_path / 'policy1', FlowPolicy(replace(CONFIG, horizon=9)))
    strict.take(*other.offer(1))
    assert strict.current == learner.versions[0]
    assert 'layout scene-1/16x9, this robot runs scene-1/16x8' in strict.reason
