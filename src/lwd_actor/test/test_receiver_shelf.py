# SPDX-License-Identifier: Apache-2.0
"""What a robot runs of what it has: stages, pins, roll-backs and faults."""

from __future__ import annotations

from dataclasses import replace

import pytest
from learner_side import Receiving

from lwd_actor.errors import ReceptionError
from lwd_actor.reception.config import ReceiverConfig
from lwd_policy.errors import ShelfError


def test_staged_roll_out(tmp_path, learner):
    first, third = (Receiving(tmp_path / str(rank), learner, rank=rank) for rank in (1, 3))
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
    robot = Receiving(tmp_path / 'shelf', learner, config=ReceiverConfig(keep=2))
    for number in range(4):
        robot.take(*learner.offer(number))
    assert robot.shelf.versions() == learner.versions[:1:-1]
    robot.close()
