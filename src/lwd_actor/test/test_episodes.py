# SPDX-License-Identifier: Apache-2.0
"""The life of an episode, from messages to what is on disk; no graph."""

import math

import numpy as np
import pytest
from fake_robot import HEAD, STREAMS, FakeRobot
from rclpy.serialization import deserialize_message

from lwd_actor.episode_feed import EpisodeRules
from lwd_actor.episode_life import Phase
from lwd_actor.episodes import Episodes
from lwd_actor.errors import EpisodeError, RecordingError
from lwd_actor.recording.sink import Sink
from lwd_actor.recording.spool import Spool
from lwd_actor.recording.state import Label, verdict
from lwd_data.reader import EpisodeReader
from lwd_data.replay.ingest import ingest
from lwd_msgs.msg import ControlStep, Episode, Reward

SUCCESS = verdict(Label.SUCCESS, math.nan, 'service')


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


class Desk:
    """Episodes of a fake robot, its spool, and what was said of them."""

    def __init__(self, folder, **options):
        self.clock = Clock()
        self.spool = Spool(folder, 'g1_01')
        self.sink = Sink()
        self.said = []
        self.obstacle = ''
        self.episodes = Episodes(
            'g1_01', self.spool, self.sink, on_change=self.said.append, clock=self.clock,
            obstacle=lambda: self.obstacle, **options)
        self.robot = FakeRobot(self.episodes)
        self.robot.task()
        self.robot.step(5)

    def closed(self):
        """Wait for the disk; returns the episode."""
        while self.episodes.phase is Phase.CLOSING:
            self.episodes.poll()
        assert self.episodes.phase is Phase.IDLE
        return EpisodeReader(self.spool.path(self.episodes.state.episode_id))

    def close(self):
        self.sink.stop()
        self.spool.release()


@pytest.fixture
def desk(tmp_path):
    found = Desk(tmp_path)
    yield found
    found.close()


def counts(reader):
    found = {}
    for raw in reader.messages():
        name = raw.topic.removeprefix('/g1_01/')
        found[name] = found.get(name, 0) + 1
    return found


def test_an_episode_on_demand_holds_all_parts_of_its_steps_and_nothing_else(desk):
    name = desk.episodes.start(operator_id='ann')
    assert desk.episodes.phase is Phase.AWAITED
    desk.robot.step(40)
    assert desk.episodes.phase is Phase.RUNNING
    desk.episodes.end(name, SUCCESS)
    desk.robot.step(3)
    reader = desk.closed()
    steps = reader.steps()
    assert steps.tick.tolist() == list(range(5, 45))
    assert counts(reader) == {
        'task': 1, 'episode': 2, 'reward': 1,
        **dict.fromkeys(['tick', 'joint_states', HEAD, 'control_step', 'executed_command',
                         'scene_features'], 40)}
    custom = reader.metadata.custom
    assert {key: custom[key] for key in ('label', 'score', 'steps', 'task', 'seed', 'operator',
                                         'features', 'ended_by')} == {
        'label': 'success', 'score': '1', 'steps': '40', 'task': 'restock', 'seed': '7',
        'operator': 'ann', 'features': 'scene-1', 'ended_by': 'service'}
    assert 'lost' not in custom
    # Who ends it by service publishes no reward, and a learner looks at nothing else.
    assert (steps.terminal[-1], steps.reward[-1]) == (Reward.TERMINAL_SUCCESS, 1.0)
    assert len(ingest(reader.folder, 'online')) == 1
    assert [state.state for state in desk.said if state.begin_ns == 0] == [Episode.STATE_RUNNING]
    last = desk.said[-1]
    assert (last.state, last.label, last.first_tick, last.last_tick, last.segments) == (
        Episode.STATE_ENDED, Label.SUCCESS, 5, 44, 1)


def test_an_episode_of_a_scene_begins_with_its_first_step(desk):
    desk.episodes.start(after_reset=True)
    desk.robot.step(3)
    assert desk.episodes.phase is Phase.AWAITED
    desk.robot.reset_count += 1
    desk.robot.step(2)
    assert desk.episodes.phase is Phase.AWAITED, 'which task it is has not been said yet'
    desk.robot.task()
    desk.robot.step(10)
    desk.robot.judge()
    desk.robot.step(5)
    reader = desk.closed()
    assert reader.steps().tick.tolist() == list(range(8, 20))
    assert reader.metadata.custom['ended_by'] == 'simulator'
    assert counts(reader)['reward'] == 1


def test_steps_of_the_episode_before_are_not_of_this_one(desk):
    # The recorder was killed and started again, and who gives commands has not heard of it yet.
    desk.robot.heard_of = 'g1_01-the-one-before'
    desk.episodes.start(after_reset=True)
    desk.robot.step(3)
    desk.robot.reset()
    desk.robot.step(6)
    assert desk.episodes.phase is Phase.AWAITED
    desk.robot.heard_of = None
    desk.robot.step(10)
    desk.robot.judge()
    desk.robot.step(5)
    reader = desk.closed()
    # Five ticks before it was started, three before the reset, six behind that.
    assert reader.steps().tick.tolist() == list(range(14, 24))
    steps = [deserialize_message(raw.data, ControlStep) for raw in reader.messages()
             if raw.topic == '/g1_01/control_step']
    assert {step.episode_id for step in steps} == {desk.episodes.state.episode_id}
    assert desk.episodes.state.first_tick == 14


def test_a_first_step_may_be_heard_of_before_its_tick(desk):
    desk.episodes.start(after_reset=True)
    desk.robot.step(2)
    desk.robot.reset()
    # The next tick's step overtakes it: the fake's number is where its steps are counted.
    desk.robot.number += 1
    desk.robot.answer()
    assert desk.episodes.phase is Phase.AWAITED
    desk.robot.number -= 1
    desk.robot.observe()
    assert desk.episodes.phase is Phase.RUNNING
    desk.robot.step(4)
    desk.robot.judge()
    desk.robot.step(5)
    assert desk.closed().steps().tick.tolist() == list(range(7, 12))


@pytest.mark.parametrize('late', [0, 1, 2])
def test_a_verdict_that_comes_late_ends_the_episode_at_its_step(desk, late):
    desk.episodes.start()
    desk.robot.step(20)
    at = desk.robot.number
    desk.robot.step(late)
    desk.robot.judge(Reward.TERMINAL_FAILURE, tick=at)
    reader = desk.closed()
    assert reader.steps().tick[-1] == at
    assert reader.metadata.custom['label'] == 'failure'
    assert desk.said[-1].last_tick == at


def test_it_is_closed_when_the_last_steps_parts_have_come(desk):
    desk.episodes.start()
    desk.robot.step(20)
    desk.robot.observe()
    desk.robot.judge()
    assert desk.episodes.phase is Phase.ENDING
    desk.robot.answer()
    reader = desk.closed()
    assert reader.metadata.custom['steps'] == '21'
    assert 'lost' not in reader.metadata.custom


def test_what_is_lost_on_the_way_is_counted(desk):
    desk.episodes.start()
    desk.robot.step(10)
    desk.robot.skip = {HEAD, 'control_step'}
    desk.robot.step(2)
    desk.robot.skip = {'tick'}
    desk.robot.step(1)
    desk.robot.skip = set()
    desk.robot.step(10)
    desk.robot.judge()
    assert desk.episodes.phase is Phase.ENDING
    desk.clock.now += 10.0
    desk.episodes.poll()
    reader = desk.closed()
    assert reader.metadata.custom['lost'] == f'control_step 2, {HEAD} 2, tick 1'
    assert dict(desk.episodes.lost) == {'control_step': 2, HEAD: 2, 'tick': 1}
    assert not np.array_equal(np.diff(reader.steps().tick), np.ones(22))


def test_an_episode_ended_twice_is_refused(desk):
    name = desk.episodes.start()
    desk.robot.step(5)
    desk.episodes.end('', SUCCESS)
    with pytest.raises(EpisodeError, match=f'{name} has ended already, with label success, by'):
        desk.episodes.end('', SUCCESS)
    desk.closed()
    with pytest.raises(EpisodeError, match=f'{name} has ended already'):
        desk.episodes.end(name, SUCCESS)
    with pytest.raises(EpisodeError, match=f"'other' is not running; the last episode was {name}"):
        desk.episodes.end('other', SUCCESS)


def test_nothing_to_end_and_another_ones_id_are_refused(desk):
    with pytest.raises(EpisodeError, match='no episode is running, and none was'):
        desk.episodes.end('', SUCCESS)
    name = desk.episodes.start()
    with pytest.raises(EpisodeError, match=f"'other' is not running; .* is {name}"):
        desk.episodes.end('other', SUCCESS)
    with pytest.raises(EpisodeError, match='waiting for its first control step; end it before'):
        desk.episodes.start()


def test_a_label_for_an_unknown_episode_is_refused(desk, tmp_path):
    (tmp_path / 'secret').mkdir()
    for name in ('nothing', '', '../secret', 'recorder.lock'):
        with pytest.raises(EpisodeError, match='there is no episode'):
            desk.episodes.label(name, SUCCESS)
    with pytest.raises(EpisodeError, match=r'label is 9; known: 0 none, .*4 discard'):
        verdict(9, 0.0, 'ann')
    with pytest.raises(EpisodeError, match=r'score is 1\.5; it must be in 0 \.\. 1'):
        verdict(Label.SUCCESS, 1.5, 'ann')


def test_a_label_given_while_it_runs_holds_and_can_be_changed_later(desk):
    name = desk.episodes.start()
    desk.robot.step(5)
    desk.episodes.label(name, verdict(Label.DISCARD, math.nan, 'ann', 'camera covered'))
    desk.robot.step(5)
    desk.robot.judge()
    reader = desk.closed()
    assert reader.metadata.custom['label'] == 'discard'
    desk.episodes.label(name, verdict(Label.FAILURE, 0.25, 'bob'))
    custom = EpisodeReader(reader.folder).metadata.custom
    assert (custom['label'], custom['score'], custom['labelled_by']) == ('failure', '0.25', 'bob')
    assert custom['task'] == 'restock'
    assert desk.said[-1].label is Label.FAILURE


def test_a_restarted_driver_ends_the_episode(desk):
    desk.episodes.start()
    desk.robot.step(12)
    desk.robot.number = -1
    desk.robot.step(3)
    reader = desk.closed()
    assert reader.steps().tick.tolist() == list(range(5, 17))
    assert reader.metadata.custom['label'] == 'none'
    assert 'tick 0 came after tick 16: the driver was started again' in (
        reader.metadata.custom['detail'])
    desk.episodes.start()
    desk.robot.step(3)
    assert desk.episodes.phase is Phase.RUNNING


def test_a_reset_ends_the_episode(desk):
    desk.episodes.start()
    desk.robot.step(12)
    desk.robot.reset()
    desk.robot.step(3)
    reader = desk.closed()
    assert reader.steps().tick.tolist() == list(range(5, 17))
    assert reader.metadata.custom['detail'] == 'the robot was reset'


def test_two_publishers_in_an_episode_discard_it(desk):
    desk.episodes.start()
    desk.robot.step(12)
    desk.robot.answer()
    reader = desk.closed()
    assert reader.metadata.custom['label'] == 'discard'
    assert ('two publishers on /g1_01/control_step: tick 16 came after tick 16'
            in reader.metadata.custom['detail'])


def test_a_robot_that_cannot_be_recorded_is_refused(desk):
    desk.obstacle = 'nobody publishes /g1_01/control_step'
    with pytest.raises(EpisodeError, match='no episode can be started: nobody publishes'):
        desk.episodes.start()
    desk.obstacle = ''
    with pytest.raises(EpisodeError, match="task is 'cook', but the robot is set to 'restock'"):
        desk.episodes.start('cook')
    desk.episodes.robot.task = None
    with pytest.raises(EpisodeError, match='does not say which task it is set to'):
        desk.episodes.start('cook')
    desk.episodes.start('cook', 'cook something')
    desk.robot.step(3)
    assert desk.episodes.state.instruction == 'cook something'


def test_a_disk_that_fills_up_ends_the_episode_and_refuses_the_next(desk, monkeypatch):
    desk.episodes.start()
    desk.robot.step(12)
    monkeypatch.setattr(desk.spool, '_min_free', 1 << 60)
    desk.episodes.poll()
    reader = desk.closed()
    assert len(reader.steps()) == 12
    assert 'GB must stay free: upload or delete' in reader.metadata.custom['detail']
    with pytest.raises(EpisodeError, match=r'no episode can be started: .* GB are free'):
        desk.episodes.start()


def test_a_spool_that_turns_read_only_ends_the_episode_and_refuses_the_next(desk, monkeypatch):
    """As a disk does that the kernel has found damaged."""
    desk.episodes.start()
    desk.robot.step(12)
    monkeypatch.setattr('os.access', lambda *_: False)
    desk.episodes.poll()
    reader = desk.closed()
    assert len(reader.steps()) == 12
    assert reader.metadata.custom['detail'] == f'the spool {desk.spool.folder} is read-only'
    with pytest.raises(EpisodeError, match=r'no episode can be started: .* is read-only'):
        desk.episodes.start()


@pytest.mark.parametrize(('ahead_ns', 'lost'), [(3_600_000_000_000, 0), (-900_000_000, 8)])
def test_a_camera_whose_clock_jumps_holds_nothing_up(desk, monkeypatch, ahead_ns, lost):
    """Its images are kept as they are stamped, those from before the episode counted as lost."""
    written, write = [], desk.sink.write
    monkeypatch.setattr(desk.sink, 'write', lambda topic, *message: (
        written.append(topic), write(topic, *message))[1])
    desk.episodes.start()
    desk.robot.step(20)
    desk.robot.camera_ahead_ns = ahead_ns
    desk.robot.step(40)
    assert 50 < written.count('/g1_01/control_step') <= 60
    desk.robot.judge()
    desk.clock.now += 10.0
    desk.episodes.poll()
    reader = desk.closed()
    assert reader.steps().tick.tolist() == list(range(5, 65))
    assert reader.metadata.custom.get('lost') == (f'{HEAD} {lost}' if lost else None)
    assert counts(reader)[HEAD] == 60 - lost


def test_silence_of_the_driver_ends_the_episode(tmp_path):
    desk = Desk(tmp_path, rules=EpisodeRules(silence=2.0))
    try:
        desk.episodes.start()
        desk.robot.step(12)
        desk.clock.now += 2.5
        desk.episodes.poll()
        assert desk.closed().metadata.custom['detail'].startswith('no tick for 2 s')
    finally:
        desk.close()


def test_a_time_limit_ends_the_episode(tmp_path):
    desk = Desk(tmp_path, rules=EpisodeRules(time_limit=1.0))
    try:
        desk.episodes.start()
        desk.robot.step(60)
        reader = desk.closed()
        assert reader.metadata.custom['label'] == 'timeout'
        assert len(reader.steps()) == 31
        assert reader.steps().terminal[-1] == Reward.TERMINAL_TIMEOUT
    finally:
        desk.close()


def test_an_episode_that_nobody_takes_up_is_given_up(desk):
    desk.episodes.start()
    desk.robot.skip = {'control_step'}
    desk.robot.step(3)
    desk.clock.now += 60.0
    desk.episodes.poll()
    assert desk.episodes.phase is Phase.IDLE
    assert 'no control step took it up' in desk.said[-1].detail
    assert list(desk.spool.folder.glob('*/')) == []


def test_a_damaged_message_is_named(desk):
    for data in (b'', b'\0\1\0\0', bytes(9)):
        with pytest.raises(RecordingError, match=r'of \d bytes on tick is no lwd_msgs/msg/Tick'):
            desk.episodes.take(STREAMS['tick'], data)
