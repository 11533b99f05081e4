# SPDX-License-Identifier: Apache-2.0
"""The `kills` benchmark sees what it is to see: gaps, tails, policies that go backward."""

import os
from types import SimpleNamespace

import pytest

from benchmarks.kills_watch import Kill, backward, gaps, recorded_ticks, tails
from lwd_bringup.loop.audit import Audit
from lwd_data.cdr import serialize
from lwd_data.writer import SegmentWriter
from lwd_msgs.msg import Tick

KILLED_AT = 1_700_000_000.0


def segment(path, ticks):
    writer = SegmentWriter(path)
    for tick in ticks:
        writer.write('/g1_01/tick', 'lwd_msgs/msg/Tick', serialize(Tick(tick=tick)), 1 + tick)
    writer.close()
    return path


def test_ticks_follow_each_other_over_segments(tmp_path):
    files = [segment(tmp_path / 'e_0.mcap', range(3, 6)), segment(tmp_path / 'e_1.mcap', [6, 7])]
    assert list(recorded_ticks(files)) == [3, 4, 5, 6, 7]
    assert gaps(files) == []
    assert gaps([files[0], segment(tmp_path / 'e_2.mcap', [7, 8])]) == [(5, 7)]
    assert gaps([files[1], files[0]]) == [(7, 3)]
    assert gaps([]) == []


@pytest.fixture
def interrupted(tmp_path):
    """Return spool and audit of an episode whose recorder was killed 0.3 s after its last word."""
    folder = tmp_path / 'spool' / 'g1_01' / 'e'
    folder.mkdir(parents=True)
    file = segment(folder / 'e_0.mcap', range(10))
    aside = folder / 'e_0.mcap.interrupted'
    aside.write_bytes(b'')
    os.utime(aside, (KILLED_AT - 0.3, KILLED_AT - 0.3))
    return tmp_path / 'spool', Audit(files={'e': [file]})


@pytest.mark.parametrize(('node', 'heard', 'lost'), [
    ('g1_01/recorder', 12, {'e': 0.3}), ('supervisord', 12, {'e': 0.3}),
    # No tick came after the last one that is there: nothing is missing.
    ('g1_01/recorder', 9, {'e': 0.0}), ('g1_01/driver', 12, {}), ('g1_02/recorder', 12, {})])
def test_what_a_killed_recorder_lost_is_from_its_last_word_to_the_kill(
    interrupted, node, heard, lost,
):
    spool, found = interrupted
    kills = [Kill(node, 0.0, KILLED_AT - 60.0, ticks={'g1_01': 99}),
             Kill(node, 60.0, KILLED_AT, ticks={'g1_01': heard})]
    assert tails(spool, found, kills) == pytest.approx(lost, abs=1e-3)


def test_a_robot_that_goes_back_is_noticed():
    published = SimpleNamespace(all=lambda: [
        SimpleNamespace(version=name, number=number)
        for name, number in (('c', 3), ('b', 2), ('a', 1))])
    assert backward(['a', 'b', 'c'], published) == 0
    assert backward(['a', 'c'], published) == 0
    assert backward(['a', 'c', 'b', 'c'], published) == 1
    # What nobody published.
    assert backward(['a', 'x'], published) == 1
    assert backward([], published) == 0
