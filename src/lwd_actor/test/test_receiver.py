# SPDX-License-Identifier: Apache-2.0
"""What arrives becomes the policy that was signed, or is refused with a reason."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learner_side import Accepting, Receiving, send

from lwd_policy.errors import DeltaError


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
    robot = Receiving(folder, learner)
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
    robot = Receiving(tmp_path / 'shelf', learner, Hearing())
    full, parts = learner.offer(1)
    robot.take(*learner.offer(0))
    robot.take(*learner.offer(1, base=0))
    assert hearing
    # The manifest does not come again: these parts are all that does.
    send(robot.receiver, full, parts)
    robot.work()
    assert robot.current == learner.versions[1]
    robot.close()


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
