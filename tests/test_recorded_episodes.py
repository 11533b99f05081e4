# SPDX-License-Identifier: Apache-2.0
"""A simulated robot that records by itself, as processes; what is in the spool in the end."""

import itertools
import json
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import rclpy
from mcap.reader import make_reader
from rosbags.rosbag2 import Reader

from lwd_bringup.config import load_robot
from lwd_bringup.nodes import environment, plan
from lwd_bringup.supervise import Supervised
from lwd_data import metadata as metadata_file
from lwd_data.reader import EpisodeReader
from lwd_data.replay.catalogue import Catalogue
from lwd_data.replay.ingest import ingest
from lwd_msgs.msg import Episode
from lwd_rollout.runner import Setting, expert, run_episode
from lwd_ros.qos import LATCHED

PATIENCE = 300.0
# Scenes that the expert masters.
SEEDS = ('7', '8')
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture
def said(ros_domain):
    """Every state of an episode that the recorder has published."""
    rclpy.init(domain_id=ros_domain)
    node = rclpy.create_node('listener', namespace='/g1_01')
    states = []
    node.create_subscription(Episode, 'episode', states.append, LATCHED)

    def until(condition):
        end = time.monotonic() + PATIENCE
        while not (found := condition(states)):
            assert time.monotonic() < end, [state.detail for state in states]
            rclpy.spin_once(node, timeout_sec=0.1)
        return found

    yield until
    node.destroy_node()
    rclpy.try_shutdown()


def robot(domain, folder, **more):
    config = load_robot('sim_robot', {
        'expert': True, 'record': True, 'spool': str(folder / 'spool'), 'domain': domain,
        'driver.mode': 'lockstep', 'driver.lockstep_timeout': 30.0, 'driver.cameras.names': [],
        'recorder.auto': True,
        'recorder.min_free_gb': 0.0, 'recorder.session.tasks': ['restock'],
        'recorder.session.first_seed': int(SEEDS[0]), 'recorder.session.seeds': len(SEEDS),
        **more})
    return Supervised(plan(config), folder / 'run', environment=environment(config))


def episodes(folder):
    return sorted(path for path in Path(folder, 'spool', 'g1_01').iterdir() if path.is_dir())


def on_disk(folder):
    """Return the episodes that have a label."""
    return [path for path in episodes(folder)
            if (path / metadata_file.FILE).is_file()
            and metadata_file.read(path).custom.get('label')]


def test_two_episodes_are_recorded_as_in_process(said, ros_domain, tmp_path):
    with robot(ros_domain, tmp_path, **{'recorder.session.episodes': 2}).running():
        # A latched topic keeps its last message only: an earlier one may be overwritten.
        said(lambda states: states and states[-1].state == Episode.STATE_ENDED
             and len(on_disk(tmp_path)) == 2)
    assert said(list)[-1].label == Episode.LABEL_SUCCESS
    found = on_disk(tmp_path)
    assert len(found) == 2
    for folder, seed in zip(found, (7, 8)):
        outcome = run_episode(Setting('restock'), seed, expert(), folder=tmp_path / f'{seed}')
        here, there = EpisodeReader(folder), EpisodeReader(tmp_path / f'{seed}')
        steps, twin = here.steps(), there.steps()
        custom = here.metadata.custom
        assert (custom['label'], custom['seed']) == ('success', str(seed))
        assert 'lost' not in custom
        assert int(custom['steps']) == len(steps) == outcome.steps == len(twin)
        # No gap, and nothing before the first or behind the last step.
        assert np.array_equal(steps.tick - steps.tick[0], np.arange(len(steps)))
        for field in ('state', 'requested', 'executed', 'clipped', 'source', 'reward',
                      'terminal', 'scene'):
            assert getattr(steps, field).tobytes() == getattr(twin, field).tobytes(), field
        for key in ('task', 'instruction', 'distribution', 'features', 'score', 'label', 'steps'):
            assert custom[key] == there.metadata.custom[key], key
        counts = Counts(folder)
        assert counts['joint_states'] == 4 * len(steps) - 3
        for name in ('tick', 'control_step', 'executed_command', 'scene_features'):
            assert counts[name] == len(steps), name
        assert counts['reward'] == 1
        assert set(there.metadata.topics) <= {
            topic.replace('/g1_01/', '/sim/') for topic in here.metadata.topics}
        assert len(ingest(folder, 'online')) == len(here.metadata.segments)
    with Catalogue(tmp_path / 'store') as catalogue:
        catalogue.add_folder(tmp_path / 'spool', origin='online')
        assert {record.label for record in catalogue.snapshot().episodes()} == {'success'}
    session = json.loads(Path(tmp_path, 'spool', 'g1_01', 'session.json').read_text())
    assert session['done'] == 2


class Counts(dict):
    """Messages by the last part of their topic's name, as other people's tools count them."""

    def __init__(self, folder):
        with Reader(folder) as bag:
            for connection in bag.connections:
                self[connection.topic.rpartition('/')[2]] = connection.msgcount
        for path in folder.glob('*.mcap'):
            with path.open('rb') as file:
                assert sum(1 for _ in make_reader(file).iter_messages()) > 0


def process(supervised, executable):
    """Return the process of one of the nodes."""
    return next(child for child in psutil.Process(supervised.pid).children(recursive=True)
                if executable in ' '.join(child.cmdline()))


def stopped_half_way(folder, recorder, until):
    """Stop a recorder that has some steps of an episode on disk; returns the episode's folder.

    A robot in lockstep may run through an episode between two looks. So the recorder is stopped
    first and looked at then, in one episode after the other: what is seen stays true.
    """
    while True:
        recorder.suspend()
        for path in Path(folder, 'spool').glob('*/*/*.open'):
            if path.stat().st_size > 120_000:
                return path.parent
        recorder.resume()
        assert time.monotonic() < until, 'nothing is being recorded'
        time.sleep(0.01)


def test_a_killed_recorder_keeps_what_it_had_and_goes_on(said, ros_domain, tmp_path):
    with robot(ros_domain, tmp_path).running() as supervised:
        said(list)
        recorder = process(supervised, 'lwd_actor/recorder')
        folder = stopped_half_way(tmp_path, recorder, time.monotonic() + PATIENCE)
        before = on_disk(tmp_path)
        recorder.kill()
        said(lambda _: set(on_disk(tmp_path)) - {*before, folder})
    reader = EpisodeReader(folder)
    assert reader.metadata.custom['label'] == 'none'
    assert 'interrupted' in reader.metadata.custom['detail']
    assert [segment.recovered for segment in reader.metadata.segments] == [True]
    steps = reader.steps()
    assert len(steps) > 10
    assert np.array_equal(steps.tick - steps.tick[0], np.arange(len(steps)))
    # What was interrupted is done again, with the same scene.
    recorded = sorted((found.begin_ns, found.custom) for found in map(
        metadata_file.read, on_disk(tmp_path)))
    scenes = [custom['seed'] for _, custom in recorded if custom['label'] == 'success']
    assert scenes == list(itertools.islice(itertools.cycle(SEEDS), len(scenes)))
    assert reader.metadata.custom['seed'] == scenes[len(before)]


def test_a_recorder_that_stands_still_for_a_while_loses_nothing(said, ros_domain, tmp_path):
    """Not even what the middleware would have thrown away: the driver waits."""
    with robot(ros_domain, tmp_path).running() as supervised:
        said(list)
        recorder = process(supervised, 'lwd_actor/recorder')
        folder = stopped_half_way(tmp_path, recorder, time.monotonic() + PATIENCE)
        # As long as a robot in lockstep takes for a whole episode on a fast machine.
        time.sleep(2.0)
        recorder.resume()
        said(lambda _: folder in on_disk(tmp_path))
    reader = EpisodeReader(folder)
    steps = reader.steps()
    assert 'lost' not in reader.metadata.custom
    assert reader.metadata.custom['label'] == 'success'
    assert np.array_equal(steps.tick - steps.tick[0], np.arange(len(steps)))
    counts = Counts(folder)
    for name in ('tick', 'control_step', 'executed_command', 'scene_features'):
        assert counts[name] == len(steps), name
    # Four a tick; those behind the last tick, before the next, may be there or not.
    assert 0 <= counts['joint_states'] - (4 * len(steps) - 3) <= 3
