# SPDX-License-Identifier: Apache-2.0
import os
import signal
import subprocess
import sys
import textwrap

import pytest
import yaml
from rclpy.serialization import deserialize_message
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import Reader

from lwd_data import metadata
from lwd_data.cdr import serialize
from lwd_data.errors import ReadError, SchemaError, WriteError
from lwd_data.reader import EpisodeReader
from lwd_data.recovery import complete_messages, recover
from lwd_data.schemas import definition
from lwd_data.writer import EpisodeWriter
from lwd_msgs.msg import Reward, Tick

TICK = 'lwd_msgs/msg/Tick'
SECOND = 1_000_000_000


def tick(number):
    return serialize(Tick(tick=number))


def write(folder, count=90, **options):
    with EpisodeWriter(folder, {'task': 'restock', 'instruction': 'do it'}, **options) as writer:
        for i in range(count):
            writer.write('/g1_01/tick', TICK, tick(i), i * SECOND // 30)
            if i % 10 == 0:
                writer.write('/g1_01/reward', 'lwd_msgs/msg/Reward',
                             serialize(Reward(tick=i)), i * SECOND // 30)
    return folder


def test_an_episode_survives_the_way_to_disk(tmp_path):
    folder = write(tmp_path / 'one')
    reader = EpisodeReader(folder)
    messages = list(reader.messages())
    assert len(messages) == 99
    ticks = [deserialize_message(raw.data, Tick).tick for raw in reader.messages({'tick'})]
    assert ticks == list(range(90))
    assert [raw.stamp_ns for raw in messages] == sorted(raw.stamp_ns for raw in messages)
    assert reader.metadata.custom['instruction'] == 'do it'
    assert reader.metadata.topics['/g1_01/tick'] == TICK


def test_segments_are_cut_by_time_and_bytes_repeat(tmp_path):
    first = write(tmp_path / 'a' / 'one', segment_seconds=1.0)
    second = write(tmp_path / 'b' / 'one', segment_seconds=1.0)
    names = sorted(path.name for path in first.glob('*.mcap'))
    assert names == ['one_0.mcap', 'one_1.mcap', 'one_2.mcap']
    for name in [*names, 'metadata.yaml']:
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert [segment.count for segment in EpisodeReader(first).metadata.segments] == [33, 33, 33]


def test_other_peoples_tools_read_it(tmp_path):
    folder = write(tmp_path / 'one', segment_seconds=1.0)
    with Reader(folder) as bag:
        assert bag.message_count == 99
        assert {connection.topic for connection in bag.connections} == {
            '/g1_01/tick', '/g1_01/reward'}
    with AnyReader([folder]) as bag:
        numbers = [bag.deserialize(raw, connection.msgtype).tick
                   for connection, _, raw in bag.messages() if connection.topic == '/g1_01/tick']
    assert numbers == list(range(90))


def test_the_metadata_is_rosbag2s_version_9(tmp_path):
    content = yaml.safe_load((write(tmp_path / 'one') / 'metadata.yaml').read_text())
    info = content['rosbag2_bagfile_information']
    assert info['version'] == 9
    assert info['storage_identifier'] == 'mcap'
    assert info['message_count'] == 99
    assert info['files'][0]['message_count'] == 99
    assert info['custom_data']['lwd_format'] == '1'


def test_nothing_is_ever_overwritten(tmp_path):
    folder = write(tmp_path / 'one')
    with pytest.raises(WriteError, match='exists already; an episode is never overwritten'):
        EpisodeWriter(folder, {})


def test_a_closed_episode_and_a_topic_of_two_types_are_refused(tmp_path):
    writer = EpisodeWriter(tmp_path / 'one', {})
    writer.write('/tick', TICK, tick(0), 0)
    with pytest.raises(WriteError, match=r'/tick is of type .*Tick, and cannot be of .*Reward'):
        writer.write('/tick', 'lwd_msgs/msg/Reward', b'', 1)
    writer.close()
    with pytest.raises(WriteError, match='one is closed'):
        writer.write('/tick', TICK, tick(0), 0)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(WriteError, match=r'cannot make .*file/one'):
        EpisodeWriter(tmp_path / 'file' / 'one', {})


def test_a_full_disk_is_named(tmp_path):
    writer = EpisodeWriter(tmp_path / 'one', {})
    writer.write('/tick', TICK, tick(0), 0)

    def full(_):
        raise OSError(28, 'No space left on device')

    writer._writer._writer.add_message = lambda *_: full(None)
    with pytest.raises(WriteError, match=r'cannot write to .*one_0\.mcap: No space left'):
        writer.write('/tick', TICK, tick(1), 1)


def test_definitions_contain_what_they_use():
    text = definition('lwd_msgs/msg/ControlStep')
    assert text.startswith('# What was asked')
    assert 'MSG: std_msgs/Header' in text
    assert text.count('MSG: builtin_interfaces/Time') == 1
    with pytest.raises(SchemaError, match=r'no definition of lwd_msgs/msg/Tik; looked .*share'):
        definition('lwd_msgs/msg/Tik')
    with pytest.raises(SchemaError, match="'Tick' is no message type"):
        definition('Tick')


RECORDER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from lwd_data.writer import EpisodeWriter
    from lwd_msgs.msg import Tick
    from rclpy.serialization import serialize_message
    writer = EpisodeWriter(Path(sys.argv[1]), {'task': 'restock'}, segment_seconds=3.0)
    padding = 'x' * 3000
    for i in range(10**6):
        message = Tick(tick=i, cameras=[padding])
        writer.write('/g1_01/tick', 'lwd_msgs/msg/Tick', serialize_message(message),
                     i * 1_000_000_000 // 30)
        print(i, flush=True)
""")


@pytest.mark.parametrize('after', [20, 150, 777])
def test_a_killed_recorder_loses_no_more_than_the_last_chunk(tmp_path, after):
    folder = tmp_path / 'killed'
    process = subprocess.Popen(
        [sys.executable, '-c', RECORDER, str(folder)], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if int(line) == after:
            break
    os.kill(process.pid, signal.SIGKILL)
    rest = process.stdout.read().split()
    process.wait()
    written = int(rest[-1]) if rest else after
    found = recover(folder, {'label': 'none'})
    if found is None:
        # Less than one chunk was ever written.
        assert written < 120
        return
    ticks = [deserialize_message(raw.data, Tick).tick for raw in EpisodeReader(folder).messages()]
    assert ticks == list(range(len(ticks)))
    # A chunk is 256 KB: 87 messages of 3 KB, and what the file's buffer held.
    assert len(ticks) >= written - 180
    assert found.custom['label'] == 'none'
    assert sum(segment.recovered for segment in found.segments) <= 1
    with Reader(folder) as bag:
        assert bag.message_count == len(ticks)


def test_recovery_is_safe_to_repeat_and_keeps_the_remains(tmp_path):
    folder = tmp_path / 'one'
    writer = EpisodeWriter(folder, {'task': 'restock'}, segment_seconds=1.0)
    for i in range(45):
        # Long enough that more than one chunk is on disk.
        message = serialize(Tick(tick=i, cameras=['x' * 60_000]))
        writer.write('/tick', TICK, message, i * SECOND // 30)
    writer._writer._writer.finish()
    writer._writer._file.flush()
    cut = folder / 'one_1.mcap.open'
    whole = cut.read_bytes()
    cut.write_bytes(whole[:len(whole) // 2])
    first = recover(folder)
    assert [segment.recovered for segment in first.segments] == [False, True]
    assert first.segments[0].count == 30
    assert 0 < first.segments[1].count < 15
    assert (folder / 'one_1.mcap.interrupted').is_file()
    before = (folder / 'metadata.yaml').read_bytes()
    again = recover(folder)
    assert (folder / 'metadata.yaml').read_bytes() == before
    assert [segment.file for segment in again.segments] == ['one_0.mcap', 'one_1.mcap']
    assert again.custom == {'task': 'restock'}


def test_metadata_lost_between_two_writes_is_rebuilt(tmp_path):
    folder = write(tmp_path / 'one', segment_seconds=1.0)
    (folder / 'metadata.yaml').unlink()
    with pytest.raises(ReadError, match=r'has no metadata\.yaml; .* recover it first'):
        EpisodeReader(folder)
    found = recover(folder)
    assert [segment.count for segment in found.segments] == [33, 33, 33]
    assert len(list(EpisodeReader(folder).messages())) == 99


def test_an_empty_folder_has_nothing_to_recover(tmp_path):
    assert recover(tmp_path) is None


@pytest.mark.parametrize(('change', 'text'), [
    (lambda text: text.replace("lwd_format: '1'", "lwd_format: '9'"), r'is of format 9.*up to 1'),
    (lambda text: text.replace("    lwd_format: '1'\n", ''), 'LWD did not write this bag'),
    (lambda text: text.replace('files:', 'fils:'), "lacks 'files'; it is damaged"),
    (lambda text: 'a: [', 'is no YAML'),
    (lambda text: 'a: 1', 'is no metadata of rosbag2'),
])
def test_metadata_that_cannot_be_read_is_refused(tmp_path, change, text):
    folder = write(tmp_path / 'one', count=3)
    file = folder / metadata.FILE
    file.write_text(change(file.read_text()))
    with pytest.raises(ReadError, match=text):
        EpisodeReader(folder)


def test_a_missing_or_damaged_segment_is_named(tmp_path):
    folder = write(tmp_path / 'one', count=60, segment_seconds=1.0)
    file = folder / 'one_1.mcap'
    whole = file.read_bytes()
    file.write_bytes(whole[:200])
    with pytest.raises(ReadError, match=r'one_1\.mcap is damaged'):
        list(EpisodeReader(folder).messages())
    file.unlink()
    with pytest.raises(ReadError, match=r'one_1\.mcap is missing'):
        EpisodeReader(folder)


def test_messages_before_a_break_are_read(tmp_path):
    folder = write(tmp_path / 'one', count=300)
    file = folder / 'one_0.mcap'
    file.write_bytes(file.read_bytes()[:-20])
    assert len(list(complete_messages(file))) == 330


def test_an_episode_without_steps_says_so(tmp_path):
    with pytest.raises(ReadError, match='no tick has state and answer'):
        EpisodeReader(write(tmp_path / 'one', count=3)).steps()
