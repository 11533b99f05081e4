# SPDX-License-Identifier: Apache-2.0
import dataclasses
import os
import sqlite3

import pytest
from rosbags import rosbag2
from site_helpers import ROBOT, FaultyStore, Site, taken, uploaded
from test_uploads import hashes, write_metadata

from lwd_data.reader import EpisodeReader
from lwd_data.replay.catalogue import Catalogue
from lwd_data.replay.files import Files
from lwd_data.replay.registry import JOURNAL
from lwd_data.replay.verify import check_files
from lwd_learner_bridge.ingest import fetch
from lwd_learner_bridge.ingest.quarantine import quarantined
from lwd_learner_bridge.ingest.rebuild import rebuild
from lwd_learner_bridge.store.notice import encode
from lwd_learner_bridge.store.objects import ObjectStore


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
