# SPDX-License-Identifier: Apache-2.0
"""The thread that writes episodes: bounded, never silent about what it drops."""

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest
from rclpy.serialization import deserialize_message

from lwd_actor.recording.sink import Sink
from lwd_data import metadata
from lwd_data.cdr import serialize
from lwd_data.errors import WriteError
from lwd_data.reader import EpisodeReader
from lwd_data.recovery import recover
from lwd_data.writer import EpisodeWriter
from lwd_msgs.msg import Tick

TICK = 'lwd_msgs/msg/Tick'
SECOND = 1_000_000_000


def put(sink, number, size=0):
    return sink.write('/g1_01/tick', TICK, serialize(
        Tick(tick=number, cameras=['x' * size])), number * SECOND // 30)


def until_closed(sink):
    told = []
    while not (told and told[-1].closed):
        told += sink.progress()
    return told


def test_segments_are_told_as_they_close(tmp_path):
    sink = Sink(segment_seconds=1.0)
    folder = tmp_path / 'one'
    sink.begin(folder, {'task': 'restock'})
    for i in range(75):
        assert put(sink, i)
    sink.end({'label': 'success'})
    told = until_closed(sink)
    assert [(one.segments, one.closed) for one in told] == [(1, False), (2, False), (3, True)]
    assert EpisodeReader(folder).metadata.custom == {'task': 'restock', 'label': 'success'}
    assert len(list(EpisodeReader(folder).messages())) == 75
    sink.stop()


def test_metadata_lists_closed_segments_only_and_says_what_it_is_from_the_beginning(tmp_path):
    writer = EpisodeWriter(tmp_path / 'one', {'task': 'restock'}, segment_seconds=1.0)
    assert metadata.read(writer.folder).custom == {'task': 'restock'}
    assert metadata.read(writer.folder).segments == []
    for i in range(45):
        writer.write('/tick', TICK, serialize(Tick(tick=i)), i * SECOND // 30)
    assert [one.file for one in metadata.read(writer.folder).segments] == ['one_0.mcap']
    assert (writer.folder / 'one_1.mcap.open').is_file()
    writer.abandon()


class Stuck:
    """A disk that hangs, until it is let go on."""

    def __init__(self, monkeypatch):
        self.reached, self.go_on = threading.Event(), threading.Event()
        plain = EpisodeWriter.write

        def write(writer, *message):
            self.reached.set()
            assert self.go_on.wait(300)
            plain(writer, *message)

        monkeypatch.setattr(EpisodeWriter, 'write', write)


def test_memory_is_bounded_and_what_is_dropped_is_counted(tmp_path, monkeypatch):
    disk = Stuck(monkeypatch)
    sink = Sink(limit_bytes=100_000)
    sink.begin(tmp_path / 'one', {})
    put(sink, 0, 1000)
    assert disk.reached.wait(300)
    taken = sum(put(sink, i, 1000) for i in range(1, 200))
    assert 80 < taken < 100
    assert sink.waiting_bytes <= 100_000
    assert sink.dropped == {'/g1_01/tick': 199 - taken}
    disk.go_on.set()
    sink.end({'label': 'none'})
    until_closed(sink)
    assert len(list(EpisodeReader(tmp_path / 'one').messages())) == 1 + taken
    sink.stop()


def test_who_can_be_kept_waiting_loses_nothing(tmp_path, monkeypatch):
    disk = Stuck(monkeypatch)
    sink = Sink(limit_bytes=20_000, patience=300.0)
    sink.begin(tmp_path / 'one', {})
    sender = threading.Thread(target=lambda: [put(sink, i, 1000) for i in range(100)])
    sender.start()
    assert disk.reached.wait(300)
    disk.go_on.set()
    sender.join(300)
    sink.end({'label': 'none'})
    until_closed(sink)
    assert not sink.dropped
    assert len(list(EpisodeReader(tmp_path / 'one').messages())) == 100
    sink.stop()


def test_a_disk_that_refuses_ends_the_episode_and_keeps_what_is_there(tmp_path, monkeypatch):
    plain = EpisodeWriter.write

    def write(writer, topic, kind, data, stamp_ns):
        if stamp_ns > SECOND:
            raise WriteError(f'cannot write to {writer.folder}: No space left on device')
        plain(writer, topic, kind, data, stamp_ns)

    monkeypatch.setattr(EpisodeWriter, 'write', write)
    sink = Sink()
    sink.begin(tmp_path / 'one', {'task': 'restock'})
    for i in range(60):
        put(sink, i)
    sink.end({'label': 'success'})
    told = until_closed(sink)
    assert 'No space left on device' in told[-1].error
    assert sink.dropped['/g1_01/tick'] == 28
    reader = EpisodeReader(tmp_path / 'one')
    assert len(list(reader.messages())) == 31
    assert reader.metadata.custom['label'] == 'none'
    monkeypatch.undo()
    sink.begin(tmp_path / 'two', {})
    put(sink, 0)
    sink.end({'label': 'none'})
    assert not until_closed(sink)[-1].error
    sink.stop()


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / 'file').write_text('')
    sink = Sink()
    sink.begin(tmp_path / 'file' / 'one', {})
    assert 'cannot make' in until_closed(sink)[-1].error
    assert not put(sink, 0) or sink.progress() == []
    sink.stop()


RECORDER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from lwd_actor.recording.sink import Sink
    from lwd_data.cdr import serialize
    from lwd_msgs.msg import Tick
    sink = Sink()
    sink.begin(Path(sys.argv[1]), {'task': 'restock'})
    for i in range(int(sys.argv[2])):
        sink.write('/g1_01/tick', 'lwd_msgs/msg/Tick', serialize(Tick(tick=i)), i * 33_333_333)
    print('sent', flush=True)
    sys.stdin.read()
""")


def test_a_slow_stream_is_on_disk_soon_although_its_chunk_is_not_full(tmp_path):
    """A killed recorder keeps also what would not have filled a chunk for minutes."""
    folder = tmp_path / 'one'
    process = subprocess.Popen(
        [sys.executable, '-c', RECORDER, str(folder), '20'], stdout=subprocess.PIPE,
        stdin=subprocess.PIPE, text=True)
    assert process.stdout.readline() == 'sent\n'
    file = folder / 'one_0.mcap.open'
    while not (file.is_file() and file.stat().st_size > 1000):
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert recover(folder).custom == {'task': 'restock'}
    ticks = [deserialize_message(raw.data, Tick).tick for raw in EpisodeReader(folder).messages()]
    assert ticks == list(range(20))


@pytest.mark.parametrize('at', [b'', b'some of it'])
def test_a_recovery_that_was_interrupted_itself_loses_nothing(tmp_path, at):
    folder = tmp_path / 'one'
    writer = EpisodeWriter(folder, {'task': 'restock'})
    for i in range(30):
        writer.write('/tick', TICK, serialize(Tick(tick=i)), i * SECOND // 30)
    writer.flush()
    writer.abandon()
    # As a kill in the middle of recovery leaves it.
    (folder / 'one_0.mcap.open').rename(folder / 'one_0.mcap.interrupted')
    if at:
        (folder / 'one_0.mcap.open').write_bytes(at)
    found = recover(folder)
    assert [segment.count for segment in found.segments] == [30]
    assert found.segments[0].recovered
    assert sorted(path.name for path in folder.iterdir()) == [
        'metadata.yaml', 'one_0.mcap', 'one_0.mcap.interrupted']
