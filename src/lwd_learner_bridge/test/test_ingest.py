# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json
import os
import sqlite3
import uuid
from tempfile import TemporaryDirectory

import pytest
from episodes import write_episode
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags import rosbag2
from site_helpers import ROBOT, FaultyStore, Site
from test_uploads import hashes, write_metadata

from lwd_data.reader import EpisodeReader
from lwd_data.replay.catalogue import Catalogue
from lwd_data.replay.files import Files
from lwd_data.replay.registry import JOURNAL
from lwd_data.replay.verify import check_files
from lwd_learner_bridge.errors import NoticeError
from lwd_learner_bridge.ingest import fetch
from lwd_learner_bridge.ingest.quarantine import quarantined
from lwd_learner_bridge.ingest.rebuild import rebuild
from lwd_learner_bridge.store.notice import decode_answer, decode_notice, encode
from lwd_learner_bridge.store.objects import ObjectStore


@pytest.fixture(params=['folder', 's3'])
def any_site(request, tmp_path):
    """Return a site whose store is a folder, and one with a real S3 server."""
    if request.param == 'folder':
        return Site(tmp_path)
    return Site(tmp_path, request.getfixturevalue('s3').store(prefix=uuid.uuid4().hex))


def uploaded(site, count=3, **config):
    """Upload what is in the spool; returns the notices."""
    uploader = site.uploader(**config)
    site.run(uploader, until=lambda: len(site.inbox()) == count)
    uploader.close()
    return [decode_notice(site.objects.read(key), key) for key in site.inbox()]


def taken(site):
    """Let a coordinator take the inbox."""
    coordinator = site.coordinator()
    for _ in range(50):
        coordinator.work()
        site.now += 0.05
    coordinator.close()
    return coordinator


def answers(site):
    return [decode_answer(site.objects.read(key), key) for key in site.objects.names('answers')]


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


def test_replayed_notices_register_nothing_twice(any_site):
    site = any_site
    folder = site.record()
    notices = uploaded(site)
    taken(site)
    for notice in notices:
        site.objects.write(notice.key, encode(notice))
    coordinator = taken(site)
    assert (coordinator.counts.registered, coordinator.counts.repeated) == (0, 3)
    assert site.registered() == hashes(folder)
    assert (site.inbox(), site.episodes()['ep1'].label) == ([], 'success')


def test_notices_in_any_order_give_the_newest_label(any_site):
    site = any_site
    folder = site.record()
    notices = uploaded(site)
    running = dict(notices[0].custom)
    del running['label']
    for notice in notices:
        site.objects.delete(notice.key)
    for notice in reversed(notices):
        if not notice.last:
            notice = dataclasses.replace(notice, revision=0, custom=running)
        site.objects.write(notice.key, encode(notice))
        # Another process each time: what it knew before is in the store.
        taken(site)
    assert site.registered() == hashes(folder)
    assert site.episodes()['ep1'].label == 'success'


def test_a_label_that_comes_with_the_only_segment_is_not_lost(tmp_path):
    site = Site(tmp_path)
    folder = site.record(steps=20)
    write_metadata(folder, label=None)
    uploader = site.uploader()
    site.run(uploader, until=lambda: len(site.inbox()) == 1)
    write_metadata(folder, label='failure')
    site.run(uploader, until=lambda: len(site.inbox()) == 2)
    uploader.close()
    # Both in one batch: neither is registered when the other is looked at.
    coordinator = site.coordinator(snapshot_period=10.0)
    coordinator._next_snapshot = 5.0
    coordinator.work()
    site.now = 6.0
    coordinator.work()
    coordinator.close()
    assert site.registered() == hashes(folder)
    assert site.episodes()['ep1'].label == 'failure'


def test_two_robots_of_one_name_are_named_and_lose_nothing(tmp_path):
    site = Site(tmp_path)
    folders = {(spool, k): site.record(f'{spool}{k}', spool=spool, steps=20, seed=k)
               for k in range(2) for spool in ('left', 'right')}
    # The same episode twice, with other content.
    same = site.record('left0', spool='right', steps=20, seed=7)
    robots = [site.uploader(spool=spool) for spool in ('left', 'right')]
    coordinator = site.coordinator()
    site.run(*robots, coordinator)
    assert 'two machines upload as g1_01' in coordinator.namesakes.problems[ROBOT]
    names = [name for name, *_ in site.registered()]
    assert names == ['left0', 'left1', 'right0', 'right1']
    reason, = quarantined(site.objects).values()
    assert 'Are there two robots of one name?' in reason
    kept, = [key for key in site.objects.names('quarantine') if key.endswith('.mcap')]
    contents = {site.objects.read(kept), site.episodes()['left0'].path(0).read_bytes()}
    assert contents == {
        (folder / 'left0_0.mcap').read_bytes() for folder in (folders['left', 0], same)}


def test_a_full_disk_beside_the_learner_blames_no_segment(tmp_path, monkeypatch):
    site = Site(tmp_path)
    folder = site.record()
    notices = uploaded(site)
    # Root writes to anything: a folder in the place of the temporary file stops the index.
    blocks = [site.objects.local(notice.segment_key) for notice in notices]
    blocks = [path.with_name(f'{path.name}.index.{os.getpid()}.part') for path in blocks]
    for block in blocks:
        block.mkdir()
    monkeypatch.setattr(type(blocks[0]), 'unlink', lambda *_, **__: None)
    coordinator = taken(site)
    monkeypatch.undo()
    assert 'cannot write' in coordinator.failure
    assert (site.registered(), len(site.inbox()), quarantined(site.objects)) == ([], 3, {})
    for block in blocks:
        block.rmdir()
    site.settle()
    assert site.registered() == hashes(folder)


def test_another_stores_segments_are_copied_and_then_read_here(tmp_path):
    site = Site(tmp_path, ObjectStore('memory:///'))
    folder = site.record()
    (tmp_path / 'replay' / 'segments').mkdir(parents=True)
    (tmp_path / 'replay' / 'segments' / 'x.mcap.part').write_bytes(b'cut off')
    site.settle()
    assert site.registered() == hashes(folder)
    assert not list((tmp_path / 'replay').rglob('*.part'))
    check_files(site.episodes().values(), Files())


@pytest.mark.parametrize('journal', [True, False])
def test_the_catalogue_is_rebuilt_to_the_same_content(any_site, journal):
    site = any_site
    site.record('ep1')
    running = site.record('ep2', steps=40, seed=1, label='')
    uploader, coordinator = site.uploader(), site.coordinator()
    site.run(uploader, coordinator, until=lambda: len(site.registered()) == 5)
    for _ in range(20):
        coordinator.work()
        site.now += 0.1
    write_metadata(running, label='failure')
    site.run(uploader, coordinator)
    write_metadata(running, label='discard')
    site.run(uploader, coordinator)
    coordinator.close()
    with Catalogue(site.replay) as catalogue:
        before = catalogue.snapshot()
    contents = before.episodes()
    assert {one.label for one in contents} == {'success', 'discard'}
    if not journal:
        (site.replay / JOURNAL).unlink()
    assert rebuild(site.objects, site.replay, site.said.append) == (0 if journal else 5)
    with Catalogue(site.replay) as catalogue:
        assert catalogue.snapshot() == before
        assert catalogue.snapshot().episodes() == contents


def test_registrations_that_a_power_cut_took_come_back_at_start(tmp_path):
    site = Site(tmp_path)
    folder = site.record()
    site.settle()
    episodes = site.episodes()
    journal = site.replay / JOURNAL
    lines = journal.read_bytes().splitlines(keepends=True)
    for path in site.replay.glob('catalogue.sqlite*'):
        path.unlink()
    journal.write_bytes(b''.join(lines[:2]))
    coordinator = site.coordinator()
    coordinator.close()
    assert site.registered() == hashes(folder)
    assert site.episodes() == episodes


def test_snapshots_come_at_the_set_pace(tmp_path):
    site = Site(tmp_path)
    site.record()
    uploaded(site)
    coordinator = site.coordinator(snapshot_period=10.0)
    coordinator.work()
    # The first one at once; what comes meanwhile waits for the next.
    first = len(site.registered())
    site.now += 5.0
    coordinator.work()
    assert len(site.registered()) == first
    site.now += 6.0
    coordinator.work()
    assert len(site.registered()) == 3
    assert [snapshot.sequence for snapshot in site.published] == sorted(
        {snapshot.sequence for snapshot in site.published})


def test_a_store_that_is_down_is_said_once_and_outlasted(tmp_path):
    site = Site(tmp_path, wrap=FaultyStore)
    folder = site.record()
    uploaded(site)
    coordinator = site.coordinator()
    site.learner_side.down = True
    for _ in range(100):
        coordinator.work()
        site.now += 0.3
    assert (coordinator.failure, site.said.count('the store is down')) == ('the store is down', 1)
    site.learner_side.down = False
    for _ in range(50):
        coordinator.work()
        site.now += 0.3
    assert (coordinator.failure, site.registered()) == ('', hashes(folder))
    coordinator.close()


def test_a_catalogue_that_another_process_holds_is_waited_for(tmp_path, monkeypatch):
    from lwd_data.replay import database
    monkeypatch.setattr(database, '_TIMEOUT', 0.01)
    site = Site(tmp_path)
    folder = site.record()
    uploaded(site)
    coordinator = site.coordinator()
    with sqlite3.connect(site.replay / database.FILE, isolation_level=None) as other:
        other.execute('BEGIN IMMEDIATE')
        for _ in range(10):
            coordinator.work()
            site.now += 0.1
        assert 'locked' in coordinator.failure
        other.execute('ROLLBACK')
    site.now += 100.0
    for _ in range(20):
        coordinator.work()
        site.now += 0.1
    coordinator.close()
    assert site.registered() == hashes(folder)
    assert quarantined(site.objects) == {}


@pytest.mark.parametrize('remote', [False, True])
def test_a_complete_episode_is_a_bag_where_the_learner_reads_it(tmp_path, remote):
    site = Site(tmp_path, ObjectStore('memory:///') if remote else None)
    folder = site.record(cameras=('head',))
    site.settle()
    here = site.episodes()['ep1'].folder
    recorded, stored = EpisodeReader(folder), EpisodeReader(here)
    assert stored.metadata.custom == recorded.metadata.custom
    assert [segment.count for segment in stored.metadata.segments] == [
        segment.count for segment in recorded.metadata.segments]
    assert (stored.steps().executed == recorded.steps().executed).all()
    with rosbag2.Reader(here) as bag:
        assert bag.message_count == sum(
            segment.count for segment in recorded.metadata.segments)
    write_metadata(folder, label='discard')
    site.settle()
    assert EpisodeReader(here).metadata.custom['label'] == 'discard'


def test_an_episode_that_still_runs_is_no_bag(tmp_path):
    site = Site(tmp_path)
    site.record(label='')
    uploaded(site)
    taken(site)
    assert not (site.episodes()['ep1'].folder / 'metadata.yaml').exists()


def test_nothing_is_copied_from_a_folder(tmp_path):
    site = Site(tmp_path)
    site.record()
    site.settle()
    for episode in site.episodes().values():
        for segment in episode.segments:
            assert episode.path(segment.number) == fetch.place(
                site.objects, site.replay, f'segments/{ROBOT}/ep1/{segment.file}')
