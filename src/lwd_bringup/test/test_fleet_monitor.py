# SPDX-License-Identifier: Apache-2.0
import time

import pytest
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from lwd_bringup.loop.monitor import Monitor
from lwd_msgs.msg import (
    Episode,
    Intervention,
    PolicyManifest,
    PolicyStatus,
    SegmentUploaded,
)


@pytest.fixture
def monitor(ros_domain, tmp_path):
    rclpy.init()
    try:
        yield Monitor(['g1_01', 'g1_02'], tmp_path)
    finally:
        rclpy.shutdown()


def test_uploaders_say_how_much_waits_and_nodes_what_they_complain_of(monitor):
    def said(level, waiting):
        return DiagnosticArray(status=[
            DiagnosticStatus(
                name='g1_02/uploader', level=level, message='the store does not answer',
                values=[KeyValue(key='spool, MB', value='3'),
                        KeyValue(key='episodes not confirmed', value=waiting)]),
            DiagnosticStatus(name='g1_09/uploader', level=DiagnosticStatus.OK)])

    uploader = rclpy.create_node('uploader')
    sent = uploader.create_publisher(DiagnosticArray, '/diagnostics', 10)

    def heard(message, waiting):
        until = time.monotonic() + 300.0
        while monitor.fact.robots['g1_02'].waiting != waiting and time.monotonic() < until:
            sent.publish(message)
            rclpy.spin_once(monitor, timeout_sec=0.05)
        return monitor.fact.robots['g1_02'].waiting

    assert heard(said(DiagnosticStatus.WARN, '7'), 7) == 7
    assert monitor.fact.warnings == {'g1_02/uploader': 'the store does not answer'}
    assert heard(said(DiagnosticStatus.OK, '1'), 1) == 1
    assert monitor.fact.warnings == {}
    assert monitor.fact.robots['g1_01'].waiting == 0


def test_an_episode_has_its_task_though_it_is_known_only_later(monitor):
    robot = monitor.fact.robots['g1_01']
    for task in ('', 'restock', ''):
        monitor._on_episode(robot, Episode(
            episode_id='one', state=Episode.STATE_RUNNING, task=task))
    monitor._on_episode(robot, Episode(
        episode_id='one', state=Episode.STATE_ENDED, label=Episode.LABEL_SUCCESS, score=1.0))
    (episode,) = monitor.fact.episodes
    assert (episode.task, episode.label, episode.score) == ('restock', 'success', 1.0)
    assert (robot.episodes, robot.successes) == (1, 1)


def test_a_policy_runs_where_it_ran_before_it_was_offered_and_where_it_comes_to_run(monitor):
    one, two = monitor.fact.robots.values()
    monitor._on_policy(one, PolicyStatus(running_version='a' * 64))
    monitor._on_manifest(PolicyManifest(version='a' * 64))
    (policy,) = monitor.fact.policies
    assert policy.running.keys() == {'g1_01'}
    since = policy.running['g1_01']
    monitor._on_policy(two, PolicyStatus(running_version='a' * 64))
    monitor._on_policy(one, PolicyStatus(running_version='a' * 64))
    assert policy.running.keys() == {'g1_01', 'g1_02'}
    assert policy.running['g1_01'] == since
    assert one.swaps == two.swaps == 0


def _episode(monitor, name, *, ended=False):
    robot = monitor.fact.robots['g1_01']
    monitor._on_episode(robot, Episode(
        episode_id=name, state=Episode.STATE_ENDED if ended else Episode.STATE_RUNNING,
        label=Episode.LABEL_SUCCESS if ended else Episode.LABEL_NONE))


def _take_over(monitor, number, begin, episode, *, active=True):
    # Told on change and ten times a second.
    for _ in range(3):
        monitor._on_intervention(monitor.fact.robots['g1_01'], Intervention(
            active=active, intervention_id=number, begin=Time(sec=begin), episode_id=episode))


def test_each_take_over_counts_once_in_the_episode_that_it_was_in(monitor):
    _episode(monitor, 'one')
    _take_over(monitor, 1, 10, 'one')
    _take_over(monitor, 1, 10, 'one', active=False)
    _take_over(monitor, 2, 20, 'one')
    _take_over(monitor, 2, 20, 'one', active=False)
    _episode(monitor, 'one', ended=True)
    _episode(monitor, 'two')
    # Heard of only when the next episode had begun.
    _take_over(monitor, 3, 29, 'one')
    # The teleoperation node was killed, and counts anew.
    _take_over(monitor, 1, 40, 'two')
    _take_over(monitor, 1, 50, '')
    _episode(monitor, 'two', ended=True)
    assert [each.interventions for each in monitor.fact.episodes] == [3, 1]
    assert monitor.fact.robots['g1_01'].interventions == 5


def test_a_segment_that_is_announced_again_counts_once(monitor):
    for episode, number in (('one', 0), ('one', 1), ('one', 0), ('two', 0), ('two', 0)):
        monitor._on_segment(SegmentUploaded(episode_id=episode, segment_index=number))
    assert monitor.fact.segments == 3
