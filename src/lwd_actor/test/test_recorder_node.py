# SPDX-License-Identifier: Apache-2.0
"""The recorder as a node beside a simulated robot in lockstep: its services, its complaints."""

import math

import pytest
from rclpy.parameter import Parameter
from sensor_msgs.msg import Joy
from station import Station

from g1_driver.expert_node import ExpertNode
from lwd_actor.recorder_node import RecorderNode
from lwd_data.reader import EpisodeReader
from lwd_msgs.msg import ControlStep, Episode, Reward
from lwd_msgs.srv import EndEpisode, LabelEpisode, StartEpisode
from lwd_ros.convert import to_ns
from lwd_ros.errors import ParameterError
from lwd_ros.qos import LATCHED, RECORD


class Site(Station):
    """A robot with an expert and a recorder."""

    def __init__(self, domain, folder):
        super().__init__(domain)
        self.states = self.graph.listen(Episode, 'episode', LATCHED)
        self.add(ExpertNode)
        self.recorder = self.graph.add(
            RecorderNode, spool=str(folder), lockstep=True, cameras=[''], min_free_gb=0.0,
            start_button=3)
        self.until(lambda: self.source() == ControlStep.SOURCE_EXPERT, 'an expert who drives')
        # Who drives is heard from others: the recorder may not have found all of its topics yet.
        self.until(lambda: self.recorder.episodes.robot.task is not None, 'the task')

    def start(self, **request):
        return self.graph.call(StartEpisode, 'start_episode', StartEpisode.Request(**request))

    def end(self, label=Episode.LABEL_NONE, episode_id=''):
        return self.graph.call(EndEpisode, 'end_episode', EndEpisode.Request(
            episode_id=episode_id, label=label, score=math.nan))

    def label(self, episode_id, label):
        return self.graph.call(LabelEpisode, 'label_episode', LabelEpisode.Request(
            episode_id=episode_id, label=label, score=math.nan, operator_id='ann'))

    def more(self, steps):
        far = self.steps[-1].tick + steps
        self.until(lambda: self.steps[-1].tick >= far, f'{steps} steps more')


@pytest.fixture
def site(ros_domain, tmp_path):
    made = Site(ros_domain, tmp_path)
    yield made
    made.graph.close()


def test_an_episode_by_service(site, tmp_path):
    answer = site.start(operator_id='ann')
    assert answer.success, answer.message
    site.more(20)
    refused = site.start()
    assert not refused.success
    assert 'running; end it before another one is started' in refused.message
    assert site.end(Episode.LABEL_SUCCESS).success
    site.until(lambda: site.states[-1].state == Episode.STATE_ENDED, 'the end')
    again = site.end(Episode.LABEL_SUCCESS, answer.episode_id)
    assert not again.success
    assert 'has ended already, with label success' in again.message
    reader = EpisodeReader(tmp_path / 'g1_01' / answer.episode_id)
    steps = reader.steps()
    last = site.states[-1]
    assert (steps.tick[0], steps.tick[-1]) == (last.first_tick, last.last_tick)
    assert reader.metadata.custom['steps'] == str(len(steps))
    assert 'lost' not in reader.metadata.custom
    assert reader.metadata.custom['operator'] == 'ann'
    ours = [step for step in site.steps if step.episode_id == answer.episode_id]
    assert [step.step_index for step in ours] == list(range(len(ours)))
    assert ours[0].tick == last.first_tick
    assert site.label(answer.episode_id, Episode.LABEL_FAILURE).success
    custom = EpisodeReader(reader.folder).metadata.custom
    assert (custom['label'], custom['labelled_by']) == ('failure', 'ann')
    unknown = site.label('nothing', Episode.LABEL_FAILURE)
    assert not unknown.success
    assert "there is no episode 'nothing'" in unknown.message


def test_an_episode_by_buttons(site, tmp_path):
    """As a pad and teleoperation send them."""
    joy = site.graph.client.create_publisher(Joy, 'joy', RECORD)
    judge = site.graph.client.create_publisher(Reward, 'reward', RECORD)
    site.until(lambda: joy.get_subscription_count() and judge.get_subscription_count(), 'ears')
    for buttons in ([], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1]):
        joy.publish(Joy(buttons=buttons))
    site.until(lambda: site.states and to_ns(site.states[-1].begin) > 0, 'an episode')
    site.more(10)
    at = site.steps[-1].tick
    judge.publish(Reward(tick=at, terminal=Reward.TERMINAL_FAILURE, judge=Reward.JUDGE_OPERATOR))
    site.until(lambda: site.states[-1].state == Episode.STATE_ENDED, 'the end')
    assert site.states[-1].label == Episode.LABEL_FAILURE
    assert site.states[-1].last_tick >= at
    reader = EpisodeReader(tmp_path / 'g1_01' / site.states[-1].episode_id)
    assert reader.metadata.custom['ended_by'] == 'operator'
    assert len({state.episode_id for state in site.states}) == 1


def test_two_publishers_and_a_silent_topic_are_refused(site):
    other = site.graph.client.create_publisher(ControlStep, 'control_step', RECORD)
    topic = '/g1_01/control_step'
    site.until(lambda: site.recorder.count_publishers(topic) == 2, 'the second publisher')
    refused = site.start()
    assert not refused.success
    assert (f'two publishers on {topic} (/g1_01/arbiter, /g1_01/client); stop all but one'
            in refused.message)
    assert 'two publishers' in site.recorder._health().message
    site.graph.client.destroy_publisher(other)
    site.until(lambda: site.recorder.count_publishers(topic) == 1, 'the end of it')
    assert site.start().success
    site.more(5)
    assert site.end().success


def test_another_recorder_is_refused(site):
    other = site.graph.client.create_publisher(Episode, 'episode', LATCHED)
    other.publish(Episode(episode_id='theirs', state=Episode.STATE_RUNNING))
    site.until(lambda: site.recorder._foreign, 'word of it')
    assert 'another recorder runs episode theirs' in site.start().message
    other.publish(Episode(episode_id='theirs', state=Episode.STATE_ENDED))
    site.until(lambda: not site.recorder._foreign, 'its end')
    assert site.start().success


def test_a_robot_that_nobody_answers_for_is_refused(ros_domain, tmp_path):
    station = Station(ros_domain)
    recorder = station.graph.add(
        RecorderNode, spool=str(tmp_path), lockstep=True, cameras=['head'], min_free_gb=0.0)
    try:
        station.until(lambda: recorder.episodes.robot.tick is not None, 'a tick')
        answer = station.graph.call(StartEpisode, 'start_episode')
        assert not answer.success
        assert ('nobody publishes /g1_01/head/image_raw/compressed; is its node running?'
                in answer.message)
    finally:
        station.graph.close()


@pytest.mark.parametrize(('parameters', 'reason'), [
    ({'spool': '/proc/nowhere'}, 'cannot write to the spool /proc/nowhere/g1_01'),
    ({'segment_seconds': 0.0}, r'segment_seconds is 0\.0; it must be in'),
    ({'cameras': ['front']}, "unknown camera 'front'"),
    ({'session.episode': 3}, "did you mean 'session.episodes'"),
])
def test_settings_that_cannot_be_right_are_refused(ros_domain, tmp_path, parameters, reason):
    import rclpy
    rclpy.init(domain_id=ros_domain)
    try:
        with pytest.raises(ParameterError, match=reason):
            RecorderNode(namespace='/g1_01', parameter_overrides=[
                Parameter(name, value=value)
                for name, value in {'spool': str(tmp_path), **parameters}.items()])
    finally:
        rclpy.try_shutdown()


def test_a_session_goes_on_after_a_fault(ros_domain, tmp_path):
    """While a fault is latched no policy drives, and only the next episode's reset clears it."""
    station = Station(ros_domain)
    states = station.graph.listen(Episode, 'episode', LATCHED)
    recorder = station.graph.add(
        RecorderNode, spool=str(tmp_path), lockstep=True, cameras=[''], min_free_gb=0.0,
        auto=True)
    try:
        station.until(lambda: recorder.session.reason == 'nobody drives the robot yet', 'a wait')
        assert not states
        station.driver._thread.loop.filter.fault('an arm is blocked')
        station.until(lambda: any(state.first_tick for state in states[:]), 'an episode')
        assert not station.driver._thread.loop.filter.faulted
    finally:
        station.graph.close()
