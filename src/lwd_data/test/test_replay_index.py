# SPDX-License-Identifier: Apache-2.0
import array
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap.writer import CompressionType, IndexType, Writer

from g1_description.joints import COMMAND_NAMES, STATE_NAMES
from lwd_data.cdr import serialize
from lwd_data.errors import IndexFileError
from lwd_data.reader import EpisodeReader
from lwd_data.recovery import recover
from lwd_data.replay.index import build_index, ensure_index, index_path, open_index
from lwd_data.replay.join import join
from lwd_data.replay.mcap_scan import scan
from lwd_data.schemas import definition
from lwd_data.writer import EpisodeWriter
from lwd_msgs.msg import Episode, Reward, Tick

sys.path.insert(0, str(Path(__file__).parent))
from episodes import Script, jpeg, write_episode


def only_segment(folder):
    segments = sorted(folder.glob('*.mcap'))
    assert len(segments) == 1
    return segments[0]


def test_an_index_holds_what_the_reader_reads(tmp_path):
    folder = write_episode(tmp_path / 'one', steps=40, cameras=('head', 'left_wrist'))
    index = build_index(only_segment(folder))
    steps = EpisodeReader(folder).steps()
    assert len(index) == len(steps) == 40
    for column, field in (('tick', 'tick'), ('stamp', 'stamp_ns'), ('state', 'state'),
                          ('executed', 'executed'), ('requested', 'requested'),
                          ('clipped', 'clipped'), ('source', 'source')):
        np.testing.assert_array_equal(index[column], getattr(steps, field))
    assert index.versions == ('', 'a' * 64)
    assert index['version'].tolist() == [1] * 40
    assert index.cameras == ('head', 'left_wrist')
    bag = index.segment.read_bytes()
    for step in (0, 17, 39):
        offset = int(index['scene_offset'][step])
        np.testing.assert_array_equal(
            np.frombuffer(bag, '<f4', steps.scene.shape[1], offset), steps.scene[step])
        for camera in index.cameras:
            stamps, offsets, lengths = index.image(camera)
            assert index['image_stamp'][step, index.cameras.index(camera)] == stamps[step]
            assert bag[offsets[step]:offsets[step] + lengths[step]] == jpeg(camera, step, 16)


def test_an_index_is_kept_until_the_segment_changes(tmp_path):
    segment = only_segment(write_episode(tmp_path / 'one', steps=40))
    first = ensure_index(segment)
    written = index_path(segment).stat()
    assert ensure_index(segment).sha256 == first.sha256
    assert index_path(segment).stat().st_mtime_ns == written.st_mtime_ns
    other = only_segment(write_episode(tmp_path / 'two', steps=41, seed=1))
    segment.write_bytes(other.read_bytes())
    again = ensure_index(segment)
    assert again.sha256 != first.sha256
    assert len(again) == 41
    # A map that was open before still shows the old rows.
    assert len(first) == 40


@pytest.mark.parametrize('change', [
    lambda data: data[:-100], lambda data: b'RUBBISH!' + data[8:],
    lambda data: data.replace(b'"version": 2,', b'"version": 9,'), lambda data: b''])
def test_a_damaged_index_is_made_again(tmp_path, change):
    segment = only_segment(write_episode(tmp_path / 'one', steps=40))
    index = ensure_index(segment)
    whole = {name: index[name].copy() for name in index.columns}
    data = index_path(segment).read_bytes()
    # A file of its own: the one that is mapped stays as it is.
    index_path(segment).unlink()
    index_path(segment).write_bytes(change(data))
    with pytest.raises(IndexFileError, match=r'one_0\.mcap\.index'):
        open_index(segment)
    again = ensure_index(segment)
    for name, column in whole.items():
        np.testing.assert_array_equal(again[name], column)


def test_no_part_of_an_index_is_left_behind(tmp_path, monkeypatch):
    segment = only_segment(write_episode(tmp_path / 'one', steps=40))

    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'replace', full)
    monkeypatch.setattr(Path, 'replace', full)
    with pytest.raises(IndexFileError, match=r'cannot write .*index: No space left .*writable'):
        ensure_index(segment)
    assert sorted(path.name for path in segment.parent.iterdir()) == [
        'metadata.yaml', 'one_0.mcap']


def spoil(topic, step, **fields):
    """Return a change of one message."""
    def change(name, at, message):
        if name == topic and at == step:
            for key, found in fields.items():
                setattr(message, key, found)
    return change


def numbers(count, **special):
    values = [0.5] * count
    for at, one in special.items():
        values[int(at[1:])] = one
    return array.array('d', values)


@pytest.mark.parametrize(('change', 'text'), [
    (spoil('reward', 39, reward=float('nan')), r'reward\.reward is nan at tick 139, entry 0'),
    (spoil('joint_states', 5, position=numbers(20, _3=float('inf'))),
     r'joint_states\.position is inf at stamp \d+, entry 3'),
    (spoil('executed_command', 7, positions=numbers(16, _2=float('nan'))),
     r'executed_command\.positions is nan at tick 107, entry 2'),
    (spoil('executed_command', 7, joint_names=list(COMMAND_NAMES[::-1])),
     r'executed_command\.joint_names is \[idx81_.*another action layout.*COMMAND_NAMES'),
    (spoil('control_step', 7, joint_names=['elbow']),
     r'control_step\.joint_names is \[elbow\] \(1\): another action layout'),
    (spoil('joint_states', 7, name=list(STATE_NAMES[:19]), position=numbers(19)),
     r'joint_states\.name is .*\(19\), not g1_description\.joints\.STATE_NAMES'),
    (spoil('joint_states', 7, position=numbers(19)),
     r'joint_states\.position has 19 entries, not 20'),
    (spoil('executed_command', 7, requested=numbers(3)),
     r'executed_command\.requested has 3 entries, neither 16 nor none'),
    (spoil('executed_command', 7, clips=array.array('B', [1])),
     r'executed_command\.clips has 1 entries, not 16'),
    (spoil('scene_features', 7, layout='scene-9'),
     r"scene_features\.layout is 'scene-1' and 'scene-9'; a segment has one, known are scene-1"),
    (spoil('scene_features', 7, values=array.array('f', [1.0])),
     r'scene_features\.values has 1 numbers; layout scene-1 has 310'),
    (spoil('scene_features', 7, values=array.array('f', [float('nan')] * 310)),
     r'scene_features\.values is nan at tick 107, entry 0'),
    (spoil('tick', 7, cameras=['head', 'tail']),
     r'tick\.image_stamps has 1 entries for the cameras \[head, tail\]'),
    (spoil('head/image_raw/compressed', 7, format='rgb8; png compressed'),
     r"head/image_raw/compressed: format is 'rgb8; png compressed', which names no jpeg"),
])
def test_what_must_not_be_trained_on_is_named(tmp_path, change, text):
    segment = only_segment(write_episode(
        tmp_path / 'one', steps=40, cameras=('head',), change=change))
    with pytest.raises(IndexFileError, match=r'one_0\.mcap: .*' + text):
        build_index(segment)
    assert not index_path(segment).exists()


@pytest.mark.parametrize('topic', ['tick', 'joint_states', 'control_step', 'executed_command'])
def test_a_missing_topic_is_named(tmp_path, topic):
    folder = write_episode(tmp_path / 'one', steps=40, lost={(i, topic) for i in range(40)})
    with pytest.raises(IndexFileError, match=f'lacks topics that an episode has: {topic}; it has'):
        build_index(only_segment(folder))


def test_the_end_of_an_episode_may_lack_topics(tmp_path):
    folder = write_episode(tmp_path / 'one', steps=5, lost={(i, 'tick') for i in range(5)})
    assert len(build_index(only_segment(folder))) == 0


def test_a_segment_may_hold_no_more_than_the_end(tmp_path):
    folder = write_episode(tmp_path / 'one', steps=30)
    with EpisodeWriter(tmp_path / 'end', {}) as writer:
        writer.write('/g1_01/episode', 'lwd_msgs/msg/Episode', serialize(Episode()), 5 * 10**9)
    index = build_index(tmp_path / 'end' / 'end_0.mcap')
    assert (len(index), index.cameras, index.versions) == (0, (), ('',))
    (tmp_path / 'end' / 'end_0.mcap').rename(folder / 'one_1.mcap')
    indexes = [build_index(folder / f'one_{k}.mcap') for k in range(2)]
    assert join(indexes, finished=True).pieces.length == 30


def test_a_topic_of_another_type_is_named(tmp_path):
    path = tmp_path / 'one.mcap'
    with path.open('wb') as file:
        writer = Writer(file, compression=CompressionType.NONE, index_types=IndexType.ALL)
        writer.start('ros2', 'test')
        schema = writer.register_schema(
            'lwd_msgs/msg/Reward', 'ros2msg', definition('lwd_msgs/msg/Reward').encode())
        channel = writer.register_channel('/g1/tick', 'cdr', schema)
        writer.add_message(channel, 0, serialize(Reward()), 0)
        writer.finish()
    with pytest.raises(IndexFileError, match=r'/g1/tick is of type lwd_msgs/msg/Reward in cdr, not'
                                             r' lwd_msgs/msg/Tick in cdr'):
        build_index(path)


def test_compressed_chunks_are_refused(tmp_path):
    source = only_segment(write_episode(tmp_path / 'one', steps=40))
    path = tmp_path / 'zstd.mcap'
    topics = scan(source, source.read_bytes()).topics
    with path.open('wb') as file:
        writer = Writer(file, compression=CompressionType.ZSTD)
        writer.start('ros2', 'test')
        schema = writer.register_schema('lwd_msgs/msg/Tick', 'ros2msg', b'')
        channel = writer.register_channel('/g1/tick', 'cdr', schema)
        for stamp in topics['/g1_01/tick'].stamp_ns:
            writer.add_message(channel, stamp, serialize(Tick()), stamp)
        writer.finish()
    with pytest.raises(IndexFileError, match=r"compressed with 'zstd'.*write it again"):
        build_index(path)


@pytest.mark.parametrize(('change', 'text'), [
    (lambda data: data[:len(data) // 2], 'is truncated: it has no footer'),
    (lambda data: data[:20], 'is truncated'),
    (lambda data: b'', 'is no MCAP file'),
    (lambda data: b'PK' + data[2:], 'is no MCAP file: it begins with'),
    (lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
     r'the checksum of the chunk at byte \d+ does not fit'),
    (lambda data: data[:40000] + data[40100:], 'is damaged'),
])
def test_a_damaged_segment_is_named(tmp_path, change, text):
    segment = only_segment(write_episode(tmp_path / 'one', steps=40))
    segment.write_bytes(change(segment.read_bytes()))
    with pytest.raises(IndexFileError, match=r'one_0\.mcap.*' + text):
        build_index(segment)


@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_an_error_that_names_the_file(damaged, data):
    whole, path = damaged
    at = data.draw(st.integers(0, len(whole) - 1))
    rest = whole[at + data.draw(st.integers(0, 30)):]
    path.write_bytes(whole[:at] + data.draw(st.binary(max_size=30)) + rest)
    refused = ''
    try:
        index = build_index(path)
    except IndexFileError as error:
        refused = str(error)
    # What lies outside of the chunks (the summary) is not read.
    assert str(path) in refused if refused else len(index) == 30


@pytest.fixture(scope='module')
def damaged(tmp_path_factory):
    segment = only_segment(write_episode(
        tmp_path_factory.mktemp('damaged') / 'one', steps=30, scene=False))
    return segment.read_bytes(), segment


def test_a_missing_segment_is_named(tmp_path):
    with pytest.raises(IndexFileError, match=r'one_0\.mcap cannot be indexed: No such file'):
        ensure_index(tmp_path / 'one_0.mcap')


def test_a_recovered_segment_is_indexed_like_any_other(tmp_path):
    folder = write_episode(tmp_path / 'one', steps=150)
    segment = only_segment(folder)
    whole = segment.read_bytes()
    segment.rename(segment.with_name(segment.name + '.open'))
    (folder / 'one_0.mcap.open').write_bytes(whole[:len(whole) * 2 // 3])
    (folder / 'metadata.yaml').unlink()
    recover(folder, {'task': 'restock', 'instruction': 'x'})
    index = build_index(segment)
    steps = EpisodeReader(folder).steps()
    assert 0 < len(index) == len(steps) < 150
    np.testing.assert_array_equal(index['state'], steps.state)


def test_the_last_of_two_messages_for_a_tick_holds(tmp_path):
    def twice(name, step, message):
        if name == 'executed_command' and step == 8:
            message.tick -= 1
    folder = write_episode(tmp_path / 'one', Script(steps=40, change=twice))
    index, steps = build_index(only_segment(folder)), EpisodeReader(folder).steps()
    assert len(index) == len(steps) == 39
    np.testing.assert_array_equal(index['executed'], steps.executed)
