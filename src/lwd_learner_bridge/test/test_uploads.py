# SPDX-License-Identifier: Apache-2.0
import hashlib
import os
import resource
from pathlib import Path

import episodes
import pytest
from episodes import FAILURE, write_episode
from site_helpers import ROBOT, FaultyStore, Killed, Site

from lwd_data import metadata
from lwd_data.reader import EpisodeReader
from lwd_data.replay.episode import EpisodeColumns
from lwd_data.replay.index import open_index
from lwd_data.writer import EpisodeWriter
from lwd_learner_bridge.errors import SpoolError
from lwd_learner_bridge.ingest.quarantine import quarantined
from lwd_learner_bridge.upload.ledger import Ledgers
from lwd_learner_bridge.upload.retention import size_of


def hashes(*folders):
    """Return SHA-256 by episode and number; a second registration of one would be one more row."""
    return sorted(
        (folder.name, int(path.stem.rpartition('_')[2]),
         hashlib.sha256(path.read_bytes()).hexdigest())
        for folder in folders for path in folder.glob('*.mcap'))


class JumpingWriter(EpisodeWriter):
    """Its clock is set years forward and back again within an episode."""

    def write(self, topic, type_name, data, stamp_ns):
        years = {40: 2, 41: -1, 42: -1}.get(stamp_ns * 30 // 10**9 - 30, 0)
        super().write(topic, type_name, data, max(0, stamp_ns + years * 31 * 10**15))


def write_metadata(folder, count=None, **custom):
    """Rewrite metadata.yaml as a recorder does: with so many closed segments, and custom_data."""
    content = metadata.read(folder)
    for segment in content.segments:
        segment.counts = {next(iter(content.topics)): segment.count}
    del content.segments[len(content.segments) if count is None else count:]
    for key, value in custom.items():
        content.custom.pop(key, None) if value is None else content.custom.update({key: value})
    metadata.write(folder, content)


def test_an_episode_arrives_with_its_label_and_can_be_sampled(tmp_path):
    site = Site(tmp_path)
    folder = site.record()
    _, coordinator = site.settle()
    episode = site.episodes()['ep1']
    assert (episode.label, episode.robot, episode.origin) == ('success', ROBOT, 'online')
    assert site.registered() == hashes(folder)
    assert (coordinator.counts.registered, coordinator.counts.repeated) == (3, 0)
    columns = EpisodeColumns(episode, lambda path: open_index(Path(path)))
    assert len(columns) == 75
    assert columns.tick.tolist() == EpisodeReader(folder).steps().tick.tolist()
    assert columns.outcome == 1
    assert site.inbox() == []


def test_segments_arrive_while_the_episode_runs_and_the_label_comes_last(tmp_path):
    site = Site(tmp_path)
    folder = site.record()
    whole = metadata.read(folder)
    uploader, coordinator = site.uploader(), site.coordinator()
    for count in (1, 2, 3):
        # The last one is closed before its label is known.
        write_metadata(folder, count, label=None)
        site.run(uploader, coordinator, most=200,
                 until=lambda count=count: len(site.registered()) == count)
        assert site.episodes()['ep1'].label == ''
        metadata.write(folder, _counted(whole))
    site.run(uploader, coordinator)
    assert site.episodes()['ep1'].label == 'success'
    assert site.registered() == hashes(folder)


def _counted(content):
    for segment in content.segments:
        segment.counts = {next(iter(content.topics)): segment.count}
    return content


def test_a_label_that_changes_later_reaches_the_catalogue(tmp_path):
    site = Site(tmp_path)
    folder = site.record()
    site.settle()
    write_metadata(folder, label='discard')
    site.settle()
    assert site.episodes()['ep1'].label == 'discard'
    # Also when the uploader has forgotten what it said before.
    Ledgers(site.spool(), ROBOT).forget('ep1')
    write_metadata(folder, label='failure')
    site.settle()
    assert site.episodes()['ep1'].label == 'failure'
    assert site.registered() == hashes(folder)


def _count_calls(tmp_path, side):
    site = Site(tmp_path / 'count', wrap=FaultyStore)
    site.record(steps=40)
    site.settle()
    return getattr(site, side).calls


@pytest.mark.parametrize('after', [0, 1])
@pytest.mark.parametrize('side', ['robot_side', 'learner_side'])
def test_killed_at_any_call_to_the_store_nothing_is_lost_or_doubled(tmp_path, side, after):
    calls = _count_calls(tmp_path, side)
    assert calls > 8
    for call in range(1, calls + 1):
        site = Site(tmp_path / str(call), wrap=FaultyStore)
        folder = site.record(steps=40)
        getattr(site, side).kill_at = (call, after)
        with pytest.raises(Killed):
            site.settle()
        site.settle()
        assert site.registered() == hashes(folder), (call, site.said)
        assert site.episodes()['ep1'].label == 'success'
        assert quarantined(site.objects) == {}


@pytest.mark.parametrize('share', [0.1, 0.4])
@pytest.mark.parametrize('seed', range(8))
def test_a_store_that_fails_at_random_loses_and_doubles_nothing(tmp_path, seed, share):
    _fails_at_random(Site(tmp_path, wrap=lambda inner: FaultyStore(inner, seed=seed)), share)


@pytest.mark.parametrize('seed', range(2))
def test_a_server_that_fails_at_random_loses_and_doubles_nothing(tmp_path, s3, seed):
    store = s3.store(prefix=f'random{seed}')
    _fails_at_random(Site(tmp_path, store, wrap=lambda inner: FaultyStore(inner, seed=seed)), 0.2)


def _fails_at_random(site, share):
    folders = [site.record('ep1'), site.record(
        'ep2', steps=40, seed=1, terminal=FAILURE, label='failure')]
    site.robot_side.share = share
    uploader, coordinator = site.uploader(longest_wait=1.0), site.coordinator(longest_wait=1.0)
    site.learner_side.share = share
    site.run(uploader, coordinator)
    assert site.registered() == hashes(*folders)
    assert {one.label for one in site.episodes().values()} == {'success', 'failure'}


def test_days_offline_and_restarts_then_all_arrives(tmp_path):
    site = Site(tmp_path, wrap=FaultyStore)
    site.robot_side.down = True
    folders = []
    for day in range(4):
        folders.append(site.record(f'ep{day}', steps=31 + day, seed=day))
        uploader = site.uploader()
        for _ in range(200):
            uploader.work()
            site.now += 400.0
        assert 'down' in uploader.failure
        assert uploader.unsettled() == day + 1
        uploader.close()
    site.robot_side.down = False
    site.settle()
    assert site.registered() == hashes(*folders)


def test_a_lost_announcement_and_a_lost_notice_are_healed(tmp_path):
    site = Site(tmp_path)
    folder = site.record()
    uploader = site.uploader()
    site.run(uploader, until=lambda: len(site.inbox()) == 3)
    for key in site.inbox():
        site.objects.delete(key)
    coordinator = site.coordinator()
    coordinator.announce('inbox/g1_01/ep1/00000-1-0000000000000000.json')
    site.run(uploader, coordinator)
    assert site.registered() == hashes(folder)


def test_a_lost_answer_is_asked_for_again(tmp_path):
    site = Site(tmp_path)
    folder = site.record()
    uploader, coordinator = site.uploader(), site.coordinator()
    site.run(uploader, coordinator, until=lambda: len(site.registered()) == 3)
    for key in site.objects.names('answers'):
        site.objects.delete(key)
    site.run(uploader, coordinator)
    assert uploader.unsettled() == 0
    assert site.registered() == hashes(folder)


def test_a_lost_ledger_costs_no_second_upload(tmp_path):
    site = Site(tmp_path, wrap=FaultyStore)
    site.record()
    site.settle()
    Ledgers(site.spool(), ROBOT).forget('ep1')
    site.robot_side.log.clear()
    site.settle()
    assert 'upload' not in {name for name, *_ in site.robot_side.log}
    assert 'write' not in {name for name, *_ in site.robot_side.log}


def test_interventions_and_failures_go_first_then_the_newest(tmp_path):
    site = Site(tmp_path)
    stamps = {'old': 0, 'new': 3, 'failed': 1, 'human': 2}
    for name, day in stamps.items():
        write = {'terminal': FAILURE, 'label': 'failure'} if name == 'failed' else {}
        folder = site.record(name, steps=20, **write)
        content = _counted(metadata.read(folder))
        for segment in content.segments:
            segment.begin_ns += day * 10**12
            segment.end_ns += day * 10**12
        metadata.write(folder, content)
    said = []
    uploader = site.uploader(announce=lambda notice: said.append(notice.episode))
    while uploader._inspect_one() or len(uploader.tracked) < 4:
        uploader._scan()
    uploader.tracked['human'].ledger.segments[0].intervention = True
    site.run(uploader, until=lambda: len(said) == 4)
    assert said == ['human', 'failed', 'new', 'old']


def test_an_intervention_in_a_segment_is_found(tmp_path):
    from lwd_data.cdr import serialize
    from lwd_learner_bridge.upload.inspection import inspect
    from lwd_msgs.msg import Intervention
    for active in (False, True):
        folder = tmp_path / str(active)
        with EpisodeWriter(folder, {}) as writer:
            for stamp in range(3):
                writer.write('/g1_01/intervention', 'lwd_msgs/msg/Intervention',
                             serialize(Intervention(active=active and stamp == 1)), stamp)
        assert inspect(folder / f'{active}_0.mcap').intervention is active


def test_bandwidth_is_kept(tmp_path):
    site = Site(tmp_path)
    folder = site.record(steps=60, cameras=('head',), image_size=64)
    uploader = site.uploader(bandwidth=0.05)
    size = sum(path.stat().st_size for path in folder.glob('*.mcap'))
    site.run(uploader, until=lambda: len(site.inbox()) == 2)
    assert size / 0.05e6 * 0.9 < site.now < size / 0.05e6 + 3.0


def test_only_confirmed_episodes_are_deleted_and_only_over_the_budget(tmp_path):
    site = Site(tmp_path)
    folders = [site.record(f'ep{k}', steps=31, seed=k, first_tick=100 * k) for k in range(3)]
    running = site.record('running', steps=31, seed=9, label='')
    each = size_of(folders[0])
    uploader = site.uploader(budget=2.5 * each / 1e9)
    # Nobody answers: nothing may go, however full it is.
    for _ in range(100):
        uploader.work()
        site.now += 0.2
    assert all(folder.is_dir() for folder in folders)
    coordinator = site.coordinator()
    for _ in range(100):
        uploader.work()
        coordinator.work()
        site.now += 0.2
    assert [folder.is_dir() for folder in folders] == [False, False, True]
    assert running.is_dir()
    assert len(site.episodes()) == 4
    uploader.close()
    # With no budget at all: an episode that is not over stays.
    uploader = site.uploader(budget=0.0)
    for _ in range(50):
        uploader.work()
        site.now += 0.2
    assert (folders[2].is_dir(), running.is_dir()) == (False, True)


def test_a_file_that_was_never_uploaded_keeps_its_episode(tmp_path):
    site = Site(tmp_path)
    folder = site.record()
    (folder / 'ep1_7.mcap.open').write_bytes(b'a recorder was killed')
    site.settle(budget=0.0)
    assert folder.is_dir()
    (folder / 'ep1_7.mcap.open').unlink()
    uploader = site.uploader(budget=0.0)
    uploader._next_answers = 0.0
    uploader.work()
    assert not folder.exists()


def test_the_clock_may_jump(tmp_path, monkeypatch):
    site = Site(tmp_path)
    first = site.record('ep1')
    monkeypatch.setattr(episodes, 'EpisodeWriter', JumpingWriter)
    second = site.record('ep2')
    begins = [segment.begin_ns for segment in metadata.read(second).segments]
    assert begins != sorted(begins)
    site.settle()
    assert site.registered() == hashes(first, second)


def test_two_uploaders_on_one_spool_are_refused(tmp_path):
    site = Site(tmp_path)
    uploader = site.uploader()
    with pytest.raises(SpoolError, match='another uploader works on g1_01'):
        site.uploader()
    uploader.close()
    site.uploader().close()


def test_damaged_and_foreign_folders_are_named_and_the_others_go_on(tmp_path):
    site = Site(tmp_path)
    good = site.record('good')
    write_episode(site.spool() / ROBOT / 'foreign', robot='g1_02', steps=20)
    damaged = site.record('damaged', steps=20)
    (damaged / metadata.FILE).write_text('{')
    renamed = site.record('before', steps=20)
    renamed.rename(renamed.with_name('after'))
    missing = site.record('missing', steps=20)
    (missing / 'missing_0.mcap').unlink()
    uploader, coordinator = site.uploader(), site.coordinator()
    site.run(uploader, coordinator, until=lambda: site.registered() == hashes(good), most=200)
    assert {name: text for name, text in uploader.spool.problems.items() if text} .keys() == {
        'foreign', 'damaged', 'after', 'missing'}
    assert "of 'g1_02'" in uploader.spool.problems['foreign']
    assert 'rename it back' in uploader.spool.problems['after']


def test_a_file_that_changes_after_it_was_hashed_is_hashed_anew(tmp_path):
    site = Site(tmp_path, wrap=FaultyStore)
    folder = site.record(steps=20)
    other = write_episode(tmp_path / 'ep1', steps=20, seed=5)
    uploader = site.uploader()
    site.robot_side.down = True
    uploader.work()
    (folder / 'ep1_0.mcap').write_bytes((other / 'ep1_0.mcap').read_bytes())
    site.robot_side.down = False
    site.now += 100.0
    coordinator = site.coordinator()
    site.run(uploader, coordinator)
    assert site.registered() == hashes(folder)


def test_a_file_that_reads_otherwise_than_when_it_was_hashed_never_appears(tmp_path):
    site = Site(tmp_path, wrap=FaultyStore)
    path = site.record(steps=20) / 'ep1_0.mcap'
    whole, status = path.read_bytes(), path.stat()
    uploader = site.uploader()
    site.robot_side.down = True
    uploader.work()
    # A disk that gives other bytes changes neither size nor time.
    path.write_bytes(whole[:-20] + bytes(20))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    site.robot_side.down = False
    for _ in range(10):
        site.now += 10.0
        uploader.work()
    wanted = hashlib.sha256(whole).hexdigest()[:16]
    assert not [key for key in site.objects.names('segments') if wanted in key]
    assert len(site.objects.names('segments')) == 1


def test_a_full_store_is_said_and_waited_for(tmp_path):
    site = Site(tmp_path)
    folder = site.record()
    assert min(path.stat().st_size for path in folder.glob('*.mcap')) > 40_000
    uploader = site.uploader()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # As on a full disk, files can be begun and not be finished.
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    try:
        for _ in range(10):
            uploader.work()
            site.now += 1.0
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert 'cannot upload segments/g1_01/ep1/' in uploader.failure
    assert site.objects.names('') == []
    coordinator = site.coordinator()
    site.run(uploader, coordinator)
    assert (uploader.failure, site.registered()) == ('', hashes(folder))


def test_a_damaged_ledger_is_begun_anew(tmp_path):
    site = Site(tmp_path)
    folder = site.record()
    site.settle()
    for content in ('', '{}', '[]', '{"segments": {"x": {}}}', '{"segments": {"0": {"size": 1}}}'):
        (site.spool() / '.uploads' / ROBOT / 'ep1.json').write_text(content)
        uploader, _ = site.settle()
        assert uploader.unsettled() == 0
    assert site.registered() == hashes(folder)
