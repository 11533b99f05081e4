# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lwd_actor.errors import RecordingError
from lwd_actor.recording.spool import Spool
from lwd_data import metadata
from lwd_data.cdr import serialize
from lwd_data.writer import EpisodeWriter
from lwd_msgs.msg import Tick


def interrupted(folder, count=10):
    writer = EpisodeWriter(folder, {'task': 'restock', 'instruction': 'do it'})
    for i in range(count):
        writer.write('/g1_01/tick', 'lwd_msgs/msg/Tick', serialize(Tick(tick=i)), i)
    writer.flush()
    writer.abandon()


def test_ids_are_unique_and_valid_names(tmp_path):
    spool = Spool(tmp_path, 'g1_01')
    names = {spool.new_id() for _ in range(200)}
    assert len(names) == 200
    assert all(name.startswith('g1_01-') and Path(name).name == name and ':' not in name
               for name in names)
    spool.release()


def test_leftovers_are_recovered_marked_and_kept(tmp_path):
    interrupted(tmp_path / 'g1_01' / 'a')
    interrupted(tmp_path / 'g1_01' / 'b', count=0)
    done = EpisodeWriter(tmp_path / 'g1_01' / 'c', {'task': 'restock'})
    done.write('/g1_01/tick', 'lwd_msgs/msg/Tick', serialize(Tick()), 0)
    done.close({'label': 'success'})
    before = (tmp_path / 'g1_01' / 'c' / metadata.FILE).read_bytes()
    spool = Spool(tmp_path, 'g1_01')
    (name, found), = spool.recover()
    assert name == 'a'
    assert [segment.recovered for segment in found.segments] == [True]
    assert found.custom['label'] == 'none'
    assert 'interrupted' in found.custom['detail']
    assert found.custom['instruction'] == 'do it'
    assert (tmp_path / 'g1_01' / 'a' / 'a_0.mcap.interrupted').is_file()
    assert metadata.read(tmp_path / 'g1_01' / 'b').custom['label'] == 'discard'
    assert (tmp_path / 'g1_01' / 'c' / metadata.FILE).read_bytes() == before
    assert spool.recover() == []
    spool.release()


def test_a_kill_between_two_segments_is_finished_too(tmp_path):
    writer = EpisodeWriter(tmp_path / 'g1_01' / 'a', {'task': 'restock'})
    writer.write('/g1_01/tick', 'lwd_msgs/msg/Tick', serialize(Tick()), 0)
    writer.close_segment()
    spool = Spool(tmp_path, 'g1_01')
    (_, found), = spool.recover()
    assert found.custom['label'] == 'none'
    assert [segment.recovered for segment in found.segments] == [False]
    spool.release()


def test_leftovers_that_cannot_be_saved_stay_and_are_told(tmp_path):
    interrupted(tmp_path / 'g1_01' / 'a')
    interrupted(tmp_path / 'g1_01' / 'b')
    # Nothing can be written under this name, as on a full disk.
    (tmp_path / 'g1_01' / 'a' / 'metadata.yaml.part').mkdir()
    spool = Spool(tmp_path, 'g1_01')
    assert [name for name, _ in spool.recover()] == ['b']
    told, = spool.unrecovered
    assert 'g1_01/a cannot be recovered: ' in told
    (tmp_path / 'g1_01' / 'a' / 'metadata.yaml.part').rmdir()
    (name, found), = spool.recover()
    assert (name, sum(segment.count for segment in found.segments)) == ('a', 10)
    spool.release()


def test_a_second_recorder_is_refused(tmp_path):
    spool = Spool(tmp_path, 'g1_01')
    code = ('from pathlib import Path; import sys; from lwd_actor.recording.spool import Spool; '
            'Spool(Path(sys.argv[1]), "g1_01")')
    second = subprocess.run(
        [sys.executable, '-c', code, str(tmp_path)], capture_output=True, text=True)
    assert second.returncode != 0
    assert f'is in use by another recorder, process {os.getpid()}' in second.stderr
    spool.release()
    assert subprocess.run([sys.executable, '-c', code, str(tmp_path)]).returncode == 0


def test_a_spool_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(RecordingError, match=r'cannot write to the spool .*file/g1_01: '):
        Spool(tmp_path / 'file', 'g1_01')
    # Not even root can write here.
    with pytest.raises(RecordingError, match=r'cannot write to the spool /proc/lwd'):
        Spool(Path('/proc/lwd'), 'g1_01')


def test_a_disk_without_room_and_a_spool_that_is_gone_are_told(tmp_path):
    spool = Spool(tmp_path / 'spool', 'g1_01', min_free_bytes=1 << 60)
    assert 'GB are free for' in spool.trouble()
    assert 'set min_free_gb' in spool.trouble()
    (spool.folder / 'recorder.lock').unlink()
    spool.folder.rmdir()
    assert 'is gone' in spool.trouble()
    spool.release()
