# SPDX-License-Identifier: Apache-2.0
"""The policy node in real time, against a robot that a test plays tick by tick."""

import threading
import time

import numpy as np
import pytest
import torch
from puppet import SIZE, Puppet
from sensor_msgs.msg import CompressedImage
from small_policy import save

from lwd_actor.action_queue import PATIENCE
from lwd_actor.policy_node import PolicyNode
from lwd_msgs.msg import ControlStep, ExecutedCommand
from lwd_policy.card import dumps, loads
from lwd_policy.shelf import ShelfWriter
from lwd_ros.diagnostics import ERROR, OK, WARN
from lwd_ros.errors import ParameterError
from lwd_ros.qos import RECORD

EYES = {'observation': 'cameras', 'image_size': SIZE, 'cameras': ('head', 'left_wrist')}
HEAD = 'head/image_raw/compressed'
# Only a test that fails waits so long.
LONG = 300.0


@pytest.fixture
def puppet(ros_domain):
    made = []

    def make(cameras=('head', 'left_wrist')):
        made.append(Puppet(ros_domain, cameras))
        return made[0]

    yield make
    for found in made:
        found.close()


@pytest.fixture(scope='module')
def policy(tmp_path_factory):
    folder = tmp_path_factory.mktemp('eyes') / 'policy'
    return folder, save(folder, **EYES)


def started(puppet, policy, **more):
    found = puppet()
    found.start(policy=str(policy[0]), **more)
    found.driven()
    return found


def positions(proposals):
    return np.array([proposal.positions for proposal in proposals])


def roughest(found):
    """The largest step within any chunk, as the policy drew it: what is not the seams' fault."""
    return max(np.max(np.abs(np.diff(np.reshape(chunk.positions, (-1, 16)), axis=0)))
               for chunk in list(found.chunks))


@pytest.mark.parametrize('chunking', ['continue', 'blend'])
def test_chunks_follow_each_other_without_a_gap_or_a_leap(puppet, policy, chunking):
    found = started(puppet, policy, pilot__chunking=chunking)
    steps = found.play(80)
    assert all(len(step.positions) for step in steps)
    assert {step.policy_version for step in steps} == {policy[1]}
    leap = np.max(np.abs(np.diff(positions(steps), axis=0)))
    assert leap < roughest(found) + 0.01
    assert found.node.pilot.queue.starved == 0
    chunks = {chunk.chunk_id: chunk for chunk in found.chunks}
    assert len({step.chunk_id for step in steps}) > 3
    for step in steps:
        # Counted in actions: a command of a chunk is for the tick that it was made for. Only
        # before the first one nothing moved.
        if step.chunk_id > 1:
            assert step.chunk_index == step.tick - chunks[step.chunk_id].first_tick
    later = [chunk.committed for number, chunk in sorted(chunks.items()) if number > 1]
    assert all(count > 0 for count in later) if chunking == 'continue' else not any(later)
    assert found.health().level == OK


def test_an_action_that_came_too_late_is_given_in_the_next_tick(puppet, policy):
    found = started(puppet, policy)
    *_, before, late = found.play(4)
    # The arbiter stood in with what it had.
    found.proposals[found.number] = before
    again = found.tick()
    assert (again.chunk_id, again.chunk_index) == (late.chunk_id, late.chunk_index)
    assert again.positions == late.positions
    assert found.tick().chunk_index == late.chunk_index + 1
    values = found.health().values
    assert (values['repeated actions'], values['skipped actions']) == (1, 0)


def test_a_policy_that_thinks_too_long_is_waited_for_in_hold(puppet, policy):
    found = started(puppet, policy)
    gate, infer = threading.Event(), found.node.pilot.policy.infer

    def slow(observation, committed):
        gate.wait(LONG)
        return infer(observation, committed)

    found.settle()
    found.node.pilot.policy.infer = slow
    steps = [found.tick() for _ in range(45 + PATIENCE)]
    moved = [bool(len(step.positions)) for step in steps]
    stop = moved.index(False)
    assert not any(moved[stop:])
    # A missing tail is padded by the last real action.
    tail = positions(steps[stop - PATIENCE:stop])
    assert np.array_equal(tail, np.repeat(tail[:1], PATIENCE, axis=0))
    assert found.node.pilot.queue.starved >= PATIENCE
    gate.set()
    again = found.driven()
    assert np.max(np.abs(np.subtract(again.positions, tail[-1]))) < 0.05


def test_a_take_over_makes_the_chunk_stale(puppet, policy):
    found = started(puppet, policy)
    found.play(5)
    found.source = ControlStep.SOURCE_TELEOP
    found.command = found.command + 0.1
    found.until(lambda step: not len(step.positions), 'silence', ticks=5)
    assert 'teleop is in control' in found.health().message
    assert not any(len(step.positions) for step in found.play(10))
    found.source = ControlStep.SOURCE_HOLD
    back = found.number + 1
    found.tick()
    found.source = None
    first = found.driven()
    chunk = next(chunk for chunk in found.chunks if chunk.chunk_id == first.chunk_id)
    assert first.chunk_index == 0
    assert chunk.first_tick >= back
    # It begins where the operator left the arms.
    assert np.max(np.abs(np.subtract(first.positions, found.command))[:7]) < 0.05


@pytest.mark.parametrize('state', [
    ExecutedCommand.STATE_ESTOP, ExecutedCommand.STATE_HOMING])
def test_nothing_is_planned_while_the_robot_is_stopped_or_goes_home(puppet, policy, state):
    found = started(puppet, policy)
    found.heard()
    found.node.feed.executed.state = state
    found.silent.add('executed_command')
    found.until(lambda step: not len(step.positions), 'silence', ticks=3)
    assert found.node.pilot.queue.left == 0


def test_ticks_that_piled_up_are_no_progress(puppet, policy):
    found = started(puppet, policy)
    found.play(5)
    # The robot went on without the node, as while the node was stopped.
    found.heard()
    found.node.feed.executed.tick += 40
    found.silent.add('executed_command')
    assert not len(found.tick().positions)
    assert found.node.pilot.queue.left == 0
    assert 'this node does not get the processor' in found.health().message
    found.silent.clear()
    assert found.driven().chunk_index == 0


def test_a_failure_that_nobody_thought_of_is_a_hold_too(puppet, policy):
    found = started(puppet, policy)
    found.settle()

    def stumble(observation, committed):
        raise KeyError('shelf of pans')

    found.node.pilot.policy.infer = stumble
    found.until(lambda step: not len(step.positions), 'hold')
    health = found.health()
    assert health.level == ERROR
    assert 'shelf of pans' in health.message


def test_a_camera_that_stops_is_named_and_the_robot_holds(puppet, policy):
    found = started(puppet, policy)
    found.silent.add(HEAD)
    found.until(lambda step: not len(step.positions), 'hold')
    health = found.health()
    assert health.level == ERROR
    assert f'{HEAD} is silent: its newest is' in health.message
    assert '0.15 s is the limit' in health.message
    found.silent.clear()
    found.driven()
    assert found.health().level == OK


@pytest.mark.parametrize(('shift', 'reason'), [
    (400_000_000, 'stamped 0.40 s ahead of the tick'), (-400_000_000, 'is silent|back in time')])
def test_a_camera_that_jumps_in_time_is_named_and_the_robot_holds(puppet, policy, shift, reason):
    found = started(puppet, policy)
    found.shift['left_wrist'] = shift
    found.until(lambda step: not len(step.positions), 'hold')
    assert found.health().level == ERROR
    assert 'left_wrist/image_raw/compressed' in found.health().message
    assert any(part in found.health().message for part in reason.split('|'))
    found.shift['left_wrist'] = 0
    found.driven()


def test_a_joint_state_that_stops_is_named(puppet, policy):
    found = started(puppet, policy)
    found.silent.add('joint_states')
    proposal = found.until(lambda step: not len(step.positions), 'hold')
    assert proposal.tick == found.number
    assert 'joint_states did not come within its tick' in found.health().message


def test_images_of_another_size_are_refused_with_both_sizes(puppet, policy):
    found = started(puppet, policy)
    found.cameras['left_wrist'] = 48
    found.until(lambda step: not len(step.positions), 'hold')
    assert f'images of left_wrist are 48 x 48; the policy sees {SIZE} x {SIZE}' in (
        found.health().message)
    found.cameras['left_wrist'] = SIZE
    found.driven()


def test_a_camera_that_the_robot_has_not_is_asked_for(puppet, policy):
    found = puppet(cameras=('head',))
    found.start(policy=str(policy[0]))
    assert not any(len(step.positions) for step in found.play(3))
    assert 'left_wrist/image_raw/compressed is silent' in found.health().message


def test_two_publishers_on_one_topic_stop_the_policy(puppet, policy):
    found = started(puppet, policy)
    second = found.graph.client.create_publisher(CompressedImage, HEAD, RECORD)
    found.graph.until(found.node.feed.contested, 'the count of publishers')
    found.until(lambda step: not len(step.positions), 'hold')
    health = found.health()
    assert health.level == ERROR
    assert f'{HEAD} has 2 publishers' in health.message
    found.graph.client.destroy_publisher(second)
    found.graph.until(lambda: not found.node.feed.contested(), 'the count of publishers')
    found.driven()


def test_a_policy_of_another_robot_is_refused_and_the_robot_holds(puppet, tmp_path):
    save(tmp_path / 'policy', **EYES)
    card = tmp_path / 'policy' / 'card.json'
    content = loads(card.read_text(), where='card')
    names = ('wheel', *content.layout.joints[1:])
    changed = dumps(content).replace(content.layout.joints[0], names[0])
    card.write_text(changed)
    found = puppet()
    found.start(policy=str(tmp_path / 'policy'))
    assert not any(len(step.positions) for step in found.play(3))
    health = found.health()
    assert health.level == ERROR
    assert 'is refused' in health.message
    assert 'the policy moves joints wheel' in health.message


def test_a_new_version_is_swapped_in_without_a_tick_of_hold(puppet, policy, tmp_path):
    found = puppet()
    with ShelfWriter(tmp_path / 'shelf') as shelf:
        found.start(policy=str(policy[0]), shelf=str(tmp_path / 'shelf'))
        found.driven()
        other = save(tmp_path / 'shelf' / 'new', seed=4, **EYES)
        shelf.add(tmp_path / 'shelf' / 'new', other)
        shelf.select(other)
        steps, end = found.play(3), time.monotonic() + LONG
        while steps[-1].policy_version != other:
            steps += found.play(1)
            assert time.monotonic() < end
        steps += found.play(15)
        assert all(len(step.positions) for step in steps)
        assert {step.policy_version for step in steps} == {policy[1], other}
        leap = np.max(np.abs(np.diff(positions(steps), axis=0)))
        assert leap < roughest(found) + 0.01

        def overflow(broken):
            with torch.no_grad():
                broken.expert.last.weight.fill_(3e38)

        bad = save(tmp_path / 'shelf' / 'bad', seed=5, break_it=overflow, **EYES)
        shelf.add(tmp_path / 'shelf' / 'bad', bad)
        shelf.select(bad)
        found.graph.until(lambda: bad in found.node.supply.refused, 'the refusal')
        assert {step.policy_version for step in found.play(30)} == {other}
        health = found.health()
        assert health.level == WARN
        assert f'{bad} is refused: policy {bad[:12]} answers with' in health.message


def test_a_version_that_fails_in_use_gives_way_to_the_one_before(puppet, policy, tmp_path):
    found = puppet()
    with ShelfWriter(tmp_path / 'shelf') as shelf:
        found.start(policy=str(policy[0]), shelf=str(tmp_path / 'shelf'))
        found.driven()
        other = save(tmp_path / 'shelf' / 'new', seed=4, **EYES)
        shelf.add(tmp_path / 'shelf' / 'new', other)
        shelf.select(other)
        found.graph.until(lambda: found.node.supply.pending, 'the new version')
        found.until(lambda step: step.policy_version == other, 'the swap')
        with torch.no_grad():
            found.node.pilot.policy._policy.expert.last.weight.fill_(float('nan'))
        found.until(lambda step: step.policy_version == policy[1], 'the old one')
        assert 'answers with nan' in found.node.supply.refused[other]


def test_a_version_waits_for_the_next_episode_if_told_so(puppet, policy, tmp_path):
    found = puppet()
    with ShelfWriter(tmp_path / 'shelf') as shelf:
        found.start(policy=str(policy[0]), shelf=str(tmp_path / 'shelf'), swap='episode')
        found.driven()
        other = save(tmp_path / 'shelf' / 'new', seed=4, **EYES)
        shelf.add(tmp_path / 'shelf' / 'new', other)
        shelf.select(other)
        found.graph.until(lambda: found.node.supply.pending, 'the new version')
        assert {step.policy_version for step in found.play(40)} == {policy[1]}
        found.reset()
        first = found.driven()
        assert (first.policy_version, first.chunk_index) == (other, 0)


def test_a_reset_ends_the_chunk(puppet, policy):
    found = started(puppet, policy)
    found.play(4)
    before = found.proposals[found.number].chunk_id
    found.reset()
    first = found.driven()
    assert first.chunk_id > before
    assert first.chunk_index == 0


@pytest.mark.parametrize(('parameters', 'reason'), [
    ({}, 'there is no policy'),
    ({'policy': '/p', 'remote': 'ws://x:1'}, 'name either a server or folders'),
    ({'policy': '/p', 'mode': 'fast'}, "mode is 'fast'")])
def test_a_node_refuses_parameters_that_cannot_be_right(puppet, parameters, reason):
    found = puppet()
    with pytest.raises(ParameterError, match=reason):
        found.graph.add(PolicyNode, **parameters)


def test_starving_is_said_with_the_time_of_an_inference(puppet, policy):
    found = started(puppet, policy)
    found.settle()
    gate, infer = threading.Event(), found.node.pilot.policy.infer

    def slow(observation, committed):
        gate.wait(LONG)
        return infer(observation, committed)

    found.node.pilot.policy.infer = slow
    for _ in range(40):
        found.tick()
    health = found.health()
    assert health.level == WARN
    assert 'ticks had no action: an inference takes' in health.message
    gate.set()
