# SPDX-License-Identifier: Apache-2.0
"""What a policy saw live, what is rebuilt from the bag, what the sampler returns: bit for bit."""

import sys
from pathlib import Path

import numpy as np
import pytest
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, JointState

from g1_driver.images import from_jpeg
from g1_sim.features import LAYOUT
from lwd_actor.policy_node import PolicyNode
from lwd_actor.stamped import stamp_of
from lwd_data.reader import EpisodeReader
from lwd_data.replay.catalogue import Catalogue
from lwd_data.replay.sampler import SamplerConfig, WindowSampler
from lwd_data.writer import EpisodeWriter
from lwd_msgs.msg import ActionChunk, ControlStep, ExecutedCommand, SceneFeatures, Tick
from lwd_policy.observation import from_replay
from lwd_ros.convert import to_ns

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'src' / 'lwd_actor' / 'test'))
from small_policy import save
from station import Station

SIZE, STEPS, HORIZON = 48, 130, 10
CAMERAS = ('head', 'right_wrist')
SEED = 200_000_001
EVERY = QoSProfile(depth=10_000)
KINDS = {
    'tick': Tick, 'joint_states': JointState, 'control_step': ControlStep,
    'executed_command': ExecutedCommand, 'action_chunk': ActionChunk,
    'scene_features': SceneFeatures,
    **{f'{name}/image_raw/compressed': CompressedImage for name in CAMERAS}}


@pytest.fixture
def station(ros_domain):
    found = Station(ros_domain, cameras__names=list(CAMERAS), cameras__width=SIZE,
                    cameras__height=SIZE)
    yield found
    found.graph.close()


def listen(station):
    """Take every message as it is on the wire."""
    heard = []
    for topic, kind in KINDS.items():
        station.graph.client.create_subscription(
            kind, topic, lambda raw, topic=topic, kind=kind: heard.append((topic, kind, raw)),
            EVERY, raw=True)
    return heard


def record(heard, ticks, instruction, folder):
    """Write the messages of an episode as the recorder does.

    Args:
        heard: What `listen` heard.
        ticks: (first, last) tick of the episode.
        instruction: Of its task.
        folder: Where to.
    """
    (first, begin), (last, end) = ((tick.tick, to_ns(tick.header.stamp)) for tick in ticks)
    with EpisodeWriter(folder, {
            'episode_id': folder.name, 'robot': 'g1_01', 'task': 'restock', 'seed': str(SEED),
            'instruction': instruction, 'distribution': 'train',
            'features': LAYOUT}) as writer:
        for topic, kind, raw in heard:
            stamp = stamp_of(raw)
            message = deserialize_message(raw, kind)
            if not (begin <= stamp <= end and first <= getattr(message, 'tick', first) <= last):
                continue
            name = f'{kind.__module__.partition(".")[0]}/msg/{kind.__name__}'
            writer.write(f'/g1_01/{topic}', name, bytes(raw), stamp)
        writer.close({'label': 'none', 'score': '0', 'steps': str(STEPS)})


@pytest.mark.parametrize('observation', ['cameras', 'scene'])
def test_live_bag_and_sampler_are_the_same(tmp_path, station, observation):
    eyes = {'observation': 'cameras', 'image_size': SIZE, 'cameras': CAMERAS}
    version = save(tmp_path / 'policy', **(eyes if observation == 'cameras' else {}))
    heard = listen(station)
    node = station.add(PolicyNode, mode='lockstep', policy=str(tmp_path / 'policy'),
                       pilot__execute=3)
    live, answered = {}, node.pilot._answered

    def watch(answer):
        live[answer.question.sight.tick] = answer
        answered(answer)

    node.pilot._answered = watch
    station.until(lambda: station.source() == ControlStep.SOURCE_POLICY, 'the policy')
    reset_count = station.reset(SEED)

    def first():
        return next((tick.tick for tick in list(station.ticks)
                     if tick.reset_count == reset_count), None)

    station.until(lambda: first() is not None and station.executed
                  and station.executed[-1].tick >= first() + STEPS, 'the episode')
    ticks = range(first(), first() + STEPS)

    ends = [next(tick for tick in station.ticks if tick.tick == number)
            for number in (ticks[0], ticks[-1])]

    def complete():
        """Whether every topic has told of the last tick."""
        told = {topic for topic, _, raw in list(heard)
                if stamp_of(raw) >= to_ns(ends[1].header.stamp)}
        return told >= set(KINDS) - {'action_chunk'}

    station.until(complete, 'the messages')
    record(list(heard), ends, station.driver._thread.loop.robot.info.instruction,
           tmp_path / 'store' / 'episode')
    with Catalogue(tmp_path / 'store') as catalogue:
        catalogue.add_folder(tmp_path / 'store', origin='online')
        snapshot = catalogue.snapshot()
    sampler = WindowSampler(snapshot, SamplerConfig(
        batch_size=512, horizon=HORIZON, cameras=CAMERAS), {'restock': 1})
    columns, steps = sampler.episodes[0], EpisodeReader(tmp_path / 'store' / 'episode').steps()
    assert len(columns) == len(steps.tick) == STEPS
    seen = {tick - ticks[0]: answer for tick, answer in live.items() if tick in ticks}
    assert len(seen) >= STEPS // 3
    # Live and bag, through the replay reader and through the plain one.
    for t, answer in seen.items():
        tensors = answer.observation
        for state in (columns.state[t], steps.state[t]):
            assert tensors.state[0].numpy().tobytes() == state.astype(np.float32).tobytes()
        sent = steps.executed[t - 1] if t else steps.state[t][:16]
        assert tensors.sent[0].numpy().tobytes() == sent.astype(np.float32).tobytes()
        assert tensors.instructions == (columns.record.instruction,)
    # Live and sampler: every window that begins or ends where the policy looked.
    compared = set()
    for number in range(6):
        batch = sampler.batch(number)
        assert {batch.versions[i] for i in batch.version.tolist()} == {version}
        for returned, at in ((batch.observation, batch.step),
                             (batch.next_observation, batch.step + batch.span)):
            tensors = from_replay(returned, batch.instructions)
            for i, t in enumerate(at.tolist()):
                if t not in seen:
                    continue
                expected = seen[t].observation
                compared.add(t)
                assert tensors.state[i].numpy().tobytes() == expected.state[0].numpy().tobytes()
                assert tensors.sent[i].numpy().tobytes() == expected.sent[0].numpy().tobytes()
                if observation == 'scene':
                    assert tensors.scene[i].numpy().tobytes() == (
                        expected.scene[0].numpy().tobytes())
                else:
                    for camera in CAMERAS:
                        np.testing.assert_array_equal(
                            tensors.images[camera][i].numpy(), expected.images[camera][0].numpy())
        # And what was done of what was drawn.
        for i, t in enumerate(batch.step.tolist()):
            np.testing.assert_array_equal(
                batch.chunk[i], steps.executed[t:t + HORIZON].astype(np.float32))
    assert {t for t in seen if t <= STEPS - 2 * HORIZON} <= compared


def test_an_image_is_decoded_alike_by_all(tmp_path):
    """The actor's decoder and replay's: of random noise, where JPEG decoders differ most."""
    import cv2

    from lwd_data.replay.images import _FLAGS, _IS_RGB
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    data = cv2.imencode('.jpg', noise)[1].tobytes()
    replayed = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS)
    np.testing.assert_array_equal(
        from_jpeg(data), replayed if _IS_RGB else replayed[..., ::-1])
