# SPDX-License-Identifier: Apache-2.0
"""What is damaged, foreign or no notice at all is refused with a reason, and kept."""

import dataclasses
import json
from tempfile import TemporaryDirectory

import pytest
from episodes import write_episode
from hypothesis import given, settings
from hypothesis import strategies as st
from site_helpers import Site, answers, taken, uploaded
from test_uploads import hashes

from lwd_data.replay.files import Files
from lwd_data.replay.verify import check_files
from lwd_learner_bridge.errors import NoticeError
from lwd_learner_bridge.ingest.quarantine import quarantined
from lwd_learner_bridge.store.notice import decode_notice, encode


@pytest.mark.parametrize('damage', [
    lambda data: data[:len(data) // 2], lambda data: data[:5000] + b'\0' * 9 + data[5009:],
    lambda data: b''])
def test_what_was_damaged_on_the_way_is_kept_and_sent_again(any_site, damage):
    site = any_site
    folder = site.record()
    second = uploaded(site)[1]
    damaged = damage(site.objects.read(second.segment_key))
    site.objects.write(second.segment_key, damaged)
    coordinator = taken(site)
    assert coordinator.counts.again == 1
    (key, reason), = quarantined(site.objects).items()
    assert key == second.segment_key
    assert 'arrived' in reason
    assert site.objects.read(f'quarantine/{key}') == damaged
    assert len(site.registered()) == 2
    site.settle()
    assert site.registered() == hashes(folder)


@pytest.mark.parametrize('renamed', [False, True])
def test_a_segment_that_vanished_is_sent_again(any_site, renamed):
    site = any_site
    folder = site.record()
    for notice in uploaded(site):
        key = notice.segment_key
        if renamed:
            site.objects.move(key, key.replace('ep1', 'ep2').replace('g1_01', 'g1_02'))
        else:
            site.objects.delete(key)
    assert taken(site).counts.again == 3
    site.settle()
    # Nothing is known by the other names.
    assert site.registered() == hashes(folder)


@given(where=st.floats(0.0, 1.0, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=25, deadline=None)
def test_a_bit_that_flips_anywhere_in_a_segment_is_found(where, bit):
    with TemporaryDirectory() as folder:
        site = Site(folder)
        recorded = site.record(steps=20)
        notice, = uploaded(site, 1)
        data = bytearray(site.objects.read(notice.segment_key))
        data[int(where * len(data))] ^= 1 << bit
        site.objects.write(notice.segment_key, bytes(data))
        assert taken(site).counts.again == 1
        assert site.registered() == []
        site.settle()
        assert site.registered() == hashes(recorded)


@pytest.mark.parametrize(('changes', 'match'), [
    ({'custom': {'task': ''}}, 'has no task'),
    ({'layout': 'scene-9'}, "'scene-9'"),
    ({'change': lambda name, step, message: name == 'control_step' and setattr(
        message, 'episode_id', 'another')}, "steps of the episode 'another'"),
    ({'change': lambda name, step, message: name == 'executed_command' and step == 3 and
        message.positions.__setitem__(0, float('nan'))}, 'is nan at tick 103'),
])
def test_what_cannot_be_trained_on_is_quarantined_with_a_reason(any_site, changes, match):
    site = any_site
    folder = site.record(steps=20, **changes)
    uploader, _ = site.settle()
    assert uploader.unsettled() == 0
    answer, = answers(site)
    assert answer.state == 'quarantined'
    assert match in answer.reason
    (key, reason), = quarantined(site.objects).items()
    assert reason == answer.reason
    assert site.objects.read(f'quarantine/{key}') == (folder / 'ep1_0.mcap').read_bytes()
    assert site.registered() == []
    # It is safe there: the robot may delete its own.
    uploader = site.uploader(budget=0.0)
    uploader.work()
    uploader._next_answers = 0.0
    uploader.work()
    assert not folder.exists()


def test_an_index_that_nan_refuses_does_not_stop_the_next_episode(tmp_path):
    site = Site(tmp_path)
    site.record('bad', steps=20, layout='scene-9')
    good = site.record('good', steps=20)
    site.settle()
    assert site.registered() == hashes(good)


def test_a_foreign_robots_segment_is_quarantined(tmp_path):
    site = Site(tmp_path)
    folder = site.record(steps=20)
    write_episode(tmp_path / 'ep1', robot='g1_09', steps=20)
    (folder / 'ep1_0.mcap').write_bytes((tmp_path / 'ep1' / 'ep1_0.mcap').read_bytes())
    site.settle()
    answer, = answers(site)
    assert 'topic /g1_09/' in answer.reason
    assert 'of another robot' in answer.reason


def test_segments_with_the_same_ticks_are_quarantined(tmp_path):
    site = Site(tmp_path)
    folder = site.record(steps=40)
    (folder / 'ep1_1.mcap').write_bytes((folder / 'ep1_0.mcap').read_bytes())
    site.settle()
    assert [answer.state for answer in answers(site)] == ['registered', 'quarantined']
    assert 'two segments hold the same ticks' in answers(site)[1].reason


@pytest.mark.parametrize(('data', 'match'), [
    (b'\xff', 'is no JSON'), (b'[]', 'is no JSON object'), (b'{}', 'of format None'),
    (b'{"format": 2}', 'of format 2'), (b'{"format": 1}', 'lacks a field'),
    (b'{"format": 1, "colour": 1}', "unknown field 'colour'"),
])
def test_a_notice_that_is_none_is_kept_with_a_reason(any_site, data, match):
    site = any_site
    folder = site.record()
    site.objects.write('inbox/g1_01/ep1/00000-0-0123456789abcdef.json', data)
    site.objects.write('inbox/stray', data)
    site.settle()
    found = quarantined(site.objects)
    assert set(found) == {'inbox/g1_01/ep1/00000-0-0123456789abcdef.json', 'inbox/stray'}
    assert all(match in reason for reason in found.values())
    assert site.objects.read('quarantine/inbox/stray') == data
    assert site.registered() == hashes(folder)


@pytest.mark.parametrize(('change', 'match'), [
    ({'robot': '../x'}, "robot is '../x'"), ({'episode': 'a/b'}, "episode is 'a/b'"),
    ({'revision': True}, 'revision is True; it must be of type int'),
    ({'custom': {'task': 3}}, 'custom holds something else'),
    ({'segment': {'number': 0}}, 'lacks a field'), ({'segment': 'x'}, "segment is 'x'"),
])
def test_a_notice_with_a_wrong_field_is_refused(tmp_path, change, match):
    site = Site(tmp_path)
    site.record(steps=20)
    content = json.loads(encode(uploaded(site, 1)[0]))
    with pytest.raises(NoticeError, match=match):
        decode_notice(json.dumps({**content, **change}).encode(), 'here')


def test_a_renamed_notice_takes_no_other_segment(tmp_path):
    site = Site(tmp_path)
    folder = site.record(steps=20)
    notice, = uploaded(site, 1)
    site.objects.write('inbox/g1_02/ep1/' + notice.name, encode(notice))
    taken(site)
    assert site.registered() == hashes(folder)
    reason, = quarantined(site.objects).values()
    assert 'it was renamed' in reason


@pytest.mark.parametrize('custom', [{'task': ''}, {'task': 'another'}])
def test_a_later_notice_that_is_wrong_leaves_the_registered_segment_alone(tmp_path, custom):
    site = Site(tmp_path)
    folder = site.record()
    notices = uploaded(site)
    taken(site)
    wrong = dataclasses.replace(
        notices[0], revision=2, custom={**notices[0].custom, **custom})
    site.objects.write(wrong.key, encode(wrong))
    assert taken(site).counts.quarantined == 1
    assert site.registered() == hashes(folder)
    check_files(site.episodes().values(), Files())
