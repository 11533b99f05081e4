# SPDX-License-Identifier: Apache-2.0
import json
import time

import pytest
import rclpy
from episodes import write_episode
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from std_msgs.msg import String

from lwd_data.replay.catalogue import Catalogue
from lwd_learner_bridge import messages
from lwd_learner_bridge.coordinator_node import CoordinatorNode
from lwd_learner_bridge.errors import NoticeError
from lwd_learner_bridge.uploader_node import UploaderNode
from lwd_msgs.msg import Episode, SegmentUploaded
from lwd_ros.diagnostics import OK
from lwd_ros.qos import LATCHED

LIMIT = 120.0


class Graph:
    """Nodes in one process."""

    def __init__(self):
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.nodes = []

    def add(self, kind, **parameters):
        node = kind(context=self.context, parameter_overrides=[
            Parameter(name.replace('__', '.'), value=value)
            for name, value in parameters.items()])
        self.executor.add_node(node)
        self.nodes.append(node)
        return node

    def watch(self, kind, topic, qos):
        node = rclpy.create_node(f'watch{len(self.nodes)}', context=self.context)
        heard = []
        node.create_subscription(kind, topic, heard.append, qos)
        self.executor.add_node(node)
        self.nodes.append(node)
        return heard

    def until(self, holds):
        deadline = time.monotonic() + LIMIT
        while not holds():
            assert time.monotonic() < deadline, 'nothing came'
            self.executor.spin_once(timeout_sec=0.05)

    def close(self):
        for node in self.nodes:
            node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def graph(ros_domain):
    one = Graph()
    yield one
    one.close()


def episodes_of(store):
    with Catalogue(store) as catalogue:
        return {one.name: one for one in catalogue.snapshot().episodes()}


def test_an_episode_goes_through_both_nodes_by_its_announcements(graph, tmp_path):
    store, spool = tmp_path / 'store', tmp_path / 'spool'
    announced = graph.watch(SegmentUploaded, '/lwd/segments', messages.SEGMENTS)
    snapshots = graph.watch(String, '/lwd/replay/snapshot', LATCHED)
    # Nothing is found by listing within the test's time, but at the start.
    coordinator = graph.add(
        CoordinatorNode, store=str(store), ingest__list_period=3600.0)
    uploader = graph.add(
        UploaderNode, store=f'file://{store}', spool=str(spool), upload__confirm_poll=0.1)
    graph.until(lambda: snapshots and coordinator.count_publishers('/lwd/segments')
                and uploader.count_subscribers('/lwd/segments') == 2)
    write_episode(tmp_path / 'ep1', steps=75, segment_seconds=1.0)
    spool.mkdir(exist_ok=True)
    (spool / 'g1_01').mkdir(exist_ok=True)
    (tmp_path / 'ep1').rename(spool / 'g1_01' / 'ep1')
    core = uploader._worker.core
    graph.until(lambda: len(announced) == 3 and 'ep1' in core.tracked and core.unsettled() == 0)
    episode = episodes_of(store)['ep1']
    assert (len(episode.segments), episode.label) == (3, 'success')
    last = announced[-1]
    assert (last.robot, last.episode_id, last.segment_index, last.last, last.label) == (
        'g1_01', 'ep1', 2, True, Episode.LABEL_SUCCESS)
    assert [message.sha256 for message in announced] == [
        segment.sha256 for segment in episode.segments]
    with Catalogue(store) as catalogue:
        newest = catalogue.snapshot()
    graph.until(lambda: json.loads(snapshots[-1].data)['id'] == newest.id)
    for node in (uploader, coordinator):
        assert node._health().level == OK


def test_a_store_that_cannot_be_is_said_and_the_nodes_stay(graph, tmp_path):
    (tmp_path / 'file').write_text('')
    uploader = graph.add(UploaderNode, store=f'{tmp_path}/file/store', spool=str(tmp_path))
    coordinator = graph.add(CoordinatorNode, store='s3://bucket/x', timeout=0.2)
    graph.until(lambda: uploader._worker.failure and coordinator._worker.failure)
    assert 'cannot make the store' in uploader._health().message
    assert 'say where the catalogue' in coordinator._health().message


def test_an_announcement_of_another_place_is_refused():
    with pytest.raises(NoticeError, match='which is no notice in inbox/'):
        messages.inbox_key(SegmentUploaded(robot='g1_01', key='segments/g1_01/ep1/x.mcap'))
