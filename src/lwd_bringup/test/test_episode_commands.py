# SPDX-License-Identifier: Apache-2.0
import math
import threading

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor

from lwd_bringup.cli import main
from lwd_msgs.msg import Episode
from lwd_msgs.srv import EndEpisode, LabelEpisode, StartEpisode


class Recorder:
    """Serves what a recorder serves, and notes what it is asked."""

    def __init__(self):
        self.asked = []
        self.node = rclpy.create_node('recorder', namespace='/g1_01')
        for kind, name in ((StartEpisode, 'start_episode'), (EndEpisode, 'end_episode'),
                           (LabelEpisode, 'label_episode')):
            self.node.create_service(kind, name, self._answer)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.executor.spin)
        self.thread.start()

    def _answer(self, request, response):
        self.asked.append(request)
        response.success = getattr(request, 'detail', '') != 'refuse'
        response.message = 'it is so' if response.success else 'there is no such episode'
        if isinstance(response, StartEpisode.Response):
            response.episode_id = 'g1_01-abc'
        return response

    def close(self):
        self.executor.shutdown()
        self.thread.join(30)
        self.node.destroy_node()


@pytest.fixture
def recorder(ros_domain):
    rclpy.init(domain_id=ros_domain)
    found = Recorder()
    yield found
    found.close()
    rclpy.try_shutdown()


def lwd(domain, *words):
    return main(['episode', *words, '--domain', str(domain), '--wait', '60'])


def test_an_episode_is_begun_ended_and_labelled(recorder, ros_domain, capsys):
    assert lwd(ros_domain, 'start', 'g1_01', '--task', 'restock') == 0
    assert 'g1_01-abc it is so' in capsys.readouterr().out
    assert lwd(ros_domain, 'end', 'g1_01', 'failure', '--score', '0.5') == 0
    assert lwd(ros_domain, 'label', 'g1_01', 'one', 'discard', '--detail', 'a dog came') == 0
    start, end, label = recorder.asked
    assert (start.task, start.instruction) == ('restock', '')
    assert start.operator_id
    assert (end.episode_id, end.label, end.score) == ('', Episode.LABEL_FAILURE, 0.5)
    assert (label.episode_id, label.label, label.detail) == (
        'one', Episode.LABEL_DISCARD, 'a dog came')
    assert math.isnan(label.score)
    assert label.operator_id == start.operator_id


def test_a_refusal_is_told(recorder, ros_domain, capsys):
    assert lwd(ros_domain, 'label', 'g1_01', 'one', 'success', '--detail', 'refuse') == 2
    assert 'g1_01: there is no such episode' in capsys.readouterr().out


def test_a_robot_that_is_not_there_is_named(ros_domain, capsys):
    assert main(['episode', 'end', 'g1_09', 'success', '--domain', str(ros_domain),
                 '--wait', '0.2']) == 2
    assert '/g1_09/end_episode is not there' in ' '.join(capsys.readouterr().out.split())
