# SPDX-License-Identifier: Apache-2.0
"""What rviz shows: paths of the hands in the colour of who moves them, texts."""

import array
from pathlib import Path

import numpy as np
import pytest
import yaml
from puppet import EVERY, Graph
from sensor_msgs.msg import JointState
from visualization_msgs.msg import Marker, MarkerArray

from g1_description.cameras import CAMERA_NAMES
from g1_description.joints import HOME, STATE_NAMES
from g1_description.kinematics import ArmKinematics
from lwd_actor.markers import COLOURS, HandPaths, markers
from lwd_actor.markers_node import MarkersNode
from lwd_actor.proposal import Source
from lwd_msgs.msg import ActionChunk, ControlStep, Reward
from lwd_ros.qos import RECORD

RVIZ = Path(__file__).resolve().parents[3] / 'config' / 'lwd.rviz'


def test_paths_are_where_the_kinematics_says():
    commands = np.repeat(HOME[None], 3, axis=0)
    commands[1:, 0] += 0.2
    paths = HandPaths()(commands, np.zeros(4))
    kinematics = ArmKinematics.of_robot()
    kinematics.place(np.concatenate([commands[2], np.zeros(4)]))
    np.testing.assert_allclose(paths[0, 2], kinematics.pose(0)[0])
    np.testing.assert_allclose(paths[1, 0], paths[1, 2])
    assert np.linalg.norm(paths[0, 1] - paths[0, 0]) > 0.05


def test_a_path_of_less_than_two_points_is_taken_away():
    shown = markers(np.zeros((2, 1, 3)), Source.HOLD, ['a']).markers
    assert [marker.action for marker in shown] == [Marker.DELETE, Marker.DELETE, Marker.ADD]


@pytest.fixture
def graph(ros_domain):
    found = Graph(ros_domain)
    yield found
    found.close()


def test_a_node_shows_the_coming_chunk_and_then_the_operators_trail(graph):
    graph.add(MarkersNode, rate=30.0)
    shown = graph.listen(MarkerArray, 'policy_markers', EVERY)
    out = {topic: graph.client.create_publisher(kind, topic, RECORD) for topic, kind in (
        ('joint_states', JointState), ('action_chunk', ActionChunk),
        ('control_step', ControlStep), ('reward', Reward))}
    graph.until(lambda: all(one.get_subscription_count() for one in out.values()), 'the node')
    out['joint_states'].publish(JointState(
        name=list(STATE_NAMES), position=array.array('d', [*HOME, 0.0, 0.0, 0.0, 0.0])))
    commands = np.repeat(HOME[None], 30, axis=0) + np.linspace(0.0, 0.3, 30)[:, None]
    out['action_chunk'].publish(ActionChunk(
        chunk_id=4, horizon=30, positions=array.array('d', commands.ravel())))
    out['reward'].publish(Reward(reward=1.0, score=0.5, detail='on the shelf'))

    def texts():
        return [marker.text for marker in shown[-1].markers if marker.text] if shown else []

    def step(tick, source, **more):
        out['control_step'].publish(ControlStep(
            tick=tick, source=int(source), positions=array.array('d', HOME), **more))

    step(1, Source.POLICY, chunk_id=4, chunk_index=10, policy_version='ab' * 32)
    graph.until(lambda: len(texts()) == 3 and 'on the shelf' in texts()[2]
                and len(shown[-1].markers[0].points) == 20, 'the chunk')
    assert texts() == ['g1_01: policy', f'policy: {"ab" * 6}',
                       'reward: 1, score 0.5 (on the shelf)']
    left = shown[-1].markers[0]
    expected = HandPaths()(commands[10:], np.zeros(4))[0]
    np.testing.assert_allclose([(p.x, p.y, p.z) for p in left.points], expected, atol=1e-9)
    assert left.header.frame_id == 'base_link'
    assert (left.color.r, left.color.g, left.color.b) == pytest.approx(COLOURS[Source.POLICY])
    for tick in (2, 3, 4):
        step(tick, Source.TELEOP)
    graph.until(lambda: texts()[0] == 'g1_01: teleop' and len(shown[-1].markers[1].points) == 4,
                'the trail')
    right = shown[-1].markers[1]
    assert (right.color.r, right.color.g, right.color.b) == pytest.approx(COLOURS[Source.TELEOP])


def test_the_rviz_file_shows_what_the_robot_publishes():
    displays = yaml.safe_load(RVIZ.read_text())['Visualization Manager']['Displays']
    topics = {display['Class'].rpartition('/')[2]: [] for display in displays}
    for display in displays:
        topic = display.get('Topic', display.get('Description Topic'))
        if topic:
            topics[display['Class'].rpartition('/')[2]].append(topic['Value'])
    assert topics['RobotModel'] == ['robot_description']
    assert topics['MarkerArray'] == ['policy_markers']
    assert topics['Image'] == [f'{name}/image_raw/compressed' for name in CAMERA_NAMES]
