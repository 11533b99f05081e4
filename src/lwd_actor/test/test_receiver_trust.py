# SPDX-License-Identifier: Apache-2.0
"""Which policy may come next, and from whom."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from learner_side import Accepting, LearnerSide, Receiving, send
from tiny_policies import saved, tiny, trained

from lwd_actor.reception.receiver import Receiver
from lwd_actor.reception.trial import Trial
from lwd_policy.signature import SigningKey, new_keys


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


@pytest.fixture
def strict(tmp_path, learner):
    found = Receiving(tmp_path / 'strict', learner, judge=Trial())
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
