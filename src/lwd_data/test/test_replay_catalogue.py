# SPDX-License-Identifier: Apache-2.0
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lwd_data.errors import CatalogueError
from lwd_data.replay import database
from lwd_data.replay.catalogue import Catalogue
from lwd_data.replay.files import Files
from lwd_data.replay.index import index_path
from lwd_data.replay.ingest import Entry, episode_folders, ingest
from lwd_data.replay.records import EpisodeRecord, SegmentRecord
from lwd_data.replay.registry import JOURNAL, rebuild
from lwd_data.replay.snapshot import Snapshot
from lwd_data.replay.verify import check_files

sys.path.insert(0, str(Path(__file__).parent))
from episodes import write_episode


def entry(name='a', number=0, sha='0' * 64, **changes):
    custom = changes.pop('custom', {})
    episode = EpisodeRecord(
        name, changes.pop('folder', Path('/data') / name), changes.pop('robot', 'g1_01'),
        changes.pop('task', 'restock'), changes.pop('instruction', 'do it'),
        changes.pop('origin', 'online'), custom.get('label', ''), json.dumps(custom))
    return Entry(episode, SegmentRecord(
        number, f'{name}_{number}.mcap', 100, sha, changes.pop('recovered', False)))


def contents(store):
    with sqlite3.connect(store / database.FILE) as db:
        return [db.execute(f'SELECT * FROM {table} ORDER BY 1').fetchall()
                for table in ('episodes', 'descriptions', 'segments', 'pins')]


@pytest.fixture
def store(tmp_path):
    return tmp_path / 'store'


def test_what_is_registered_is_listed(store):
    with Catalogue(store) as catalogue:
        assert catalogue.snapshot().episodes() == []
        assert catalogue.register([
            entry('a', 0), entry('b', 0, origin='offline', folder=store / 'pool' / 'b'),
            entry('a', 1, '1' * 64, recovered=True, custom={'label': 'success'})]) == 3
        first, second = catalogue.snapshot().episodes()
    assert (first.name, first.label, first.custom) == ('a', 'success', {'label': 'success'})
    assert first.segments == (
        SegmentRecord(0, 'a_0.mcap', 100, '0' * 64, False),
        SegmentRecord(1, 'a_1.mcap', 100, '1' * 64, True))
    assert (first.robot, first.task, first.instruction) == ('g1_01', 'restock', 'do it')
    assert (second.origin, second.label) == ('offline', '')
    assert second.path(0) == store / 'pool' / 'b' / 'b_0.mcap'


def test_registering_again_changes_nothing(store):
    with Catalogue(store) as catalogue:
        assert catalogue.register([entry('a', 0), entry('a', 1)]) == 2
        before, lines = catalogue.snapshot(), (store / JOURNAL).read_bytes()
        assert catalogue.register([entry('a', 1), entry('a', 0)]) == 0
        assert catalogue.snapshot() == before
        assert (store / JOURNAL).read_bytes() == lines


def test_another_hash_for_the_same_place_is_refused_and_nothing_is_kept(store):
    with Catalogue(store) as catalogue:
        catalogue.register([entry('a', 0)])
        before = contents(store)
        with pytest.raises(CatalogueError, match=(
                r'segment 0 of episode a is registered with SHA-256 000000000000; '
                r'/data/a/a_0\.mcap has ffffffffffff.*never changes')):
            catalogue.register([entry('b', 0), entry('a', 0, 'f' * 64)])
        assert contents(store) == before
        assert catalogue.register([entry('b', 0)]) == 1


@pytest.mark.parametrize('field', ['robot', 'task', 'instruction', 'origin'])
def test_another_episode_of_the_same_name_is_refused(store, field):
    with Catalogue(store) as catalogue:
        catalogue.register([entry('a', 0, origin='offline')])
        with pytest.raises(CatalogueError, match=f'episode a is registered with {field} '):
            catalogue.register([entry('a', 1, **{'origin': 'offline', field: 'online'})])


def test_a_label_that_comes_late_belongs_to_later_snapshots(store):
    with Catalogue(store) as catalogue:
        catalogue.register([entry('a', 0)])
        early = catalogue.snapshot()
        assert catalogue.register([entry('a', 0, custom={'label': 'discard'})]) == 0
        late = catalogue.snapshot()
        assert early != late
        assert early.episodes()[0].label == ''
        assert late.episodes()[0].label == 'discard'


def test_segments_behind_a_missing_one_wait_for_it(store):
    with Catalogue(store) as catalogue:
        catalogue.register([entry('a', 0), entry('a', 2), entry('b', 1)])
        gap = catalogue.snapshot()
        assert [(one.name, len(one.segments)) for one in gap.episodes()] == [('a', 1)]
        catalogue.register([entry('a', 1), entry('b', 0)])
        whole = catalogue.snapshot().episodes()
        assert [(one.name, len(one.segments)) for one in whole] == [('a', 3), ('b', 2)]
        assert [(one.name, len(one.segments)) for one in gap.episodes()] == [('a', 1)]


@settings(max_examples=20, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations([(name, k) for name in 'abc' for k in range(3)]), data=st.data())
def test_a_snapshot_never_changes(tmp_path, order, data):
    store = tmp_path / 'store'
    shutil.rmtree(store, ignore_errors=True)
    taken = []
    with Catalogue(store) as catalogue:
        for name, number in order:
            catalogue.register([entry(name, number, custom={'label': 'x'} if number == 2 else {})])
            if data.draw(st.booleans()):
                snapshot = catalogue.snapshot()
                taken.append((snapshot, snapshot.episodes()))
    rebuild(store)
    for snapshot, episodes in taken:
        assert snapshot.episodes() == episodes
    assert len({snapshot.id for snapshot, _ in taken}) == len(taken)


def test_the_id_is_a_hash_over_all_that_was_registered(store, tmp_path):
    other = tmp_path / 'other'
    with Catalogue(store) as one, Catalogue(other) as two:
        one.register([entry('a', 0), entry('b', 0)])
        # The same in another place, at another time, has the same id.
        two.register([entry('a', 0, folder=Path('/elsewhere/a'))])
        two.register([entry('b', 0)])
        assert one.snapshot().id == two.snapshot().id
        two.register([entry('c', 0)])
        one.register([entry('c', 0, recovered=True)])
        assert one.snapshot().id != two.snapshot().id
        with pytest.raises(CatalogueError, match=r'store does not have snapshot .* another store'):
            Snapshot(store, two.snapshot().sequence, two.snapshot().id).episodes()


def test_snapshots_are_opened_by_id_and_by_name(store):
    with Catalogue(store) as catalogue:
        empty = catalogue.snapshot()
        catalogue.register([entry('a', 0)])
        first = catalogue.snapshot()
        catalogue.pin('before the move', first)
        catalogue.register([entry('a', 1)])
        for name in (first.id, 'before the move'):
            assert catalogue.open_snapshot(name) == first
        assert catalogue.open_snapshot(empty.id) == empty
        assert catalogue.pins()['before the move'][0] == first.id
        catalogue.pin('before the move', first)
        with pytest.raises(CatalogueError, match="'before the move' is pinned to snapshot"):
            catalogue.pin('before the move', catalogue.snapshot())
        for wrong in ('nowhere', 'ab' * 32):
            with pytest.raises(CatalogueError, match=r'no snapshot .*pinned are before the move'):
                catalogue.open_snapshot(wrong)


def test_a_lost_database_is_made_from_the_journal(store):
    with Catalogue(store) as catalogue:
        for number in range(5):
            catalogue.register([entry('a', number), entry('b', number, origin='offline')])
        catalogue.register([entry('a', 0, custom={'label': 'failure'})])
        catalogue.pin('one', catalogue.snapshot())
        snapshot = catalogue.snapshot()
    before = contents(store)
    rebuild(store)
    assert contents(store) == before
    assert (store / 'catalogue.sqlite.old').is_file()
    for path in store.glob('catalogue.sqlite*'):
        path.unlink()
    with Catalogue(store) as catalogue:
        assert catalogue.snapshot() == snapshot
    assert contents(store) == before


def test_a_lost_journal_is_made_from_the_database(store):
    with Catalogue(store) as catalogue:
        catalogue.register([entry('a', 0), entry('a', 1, custom={'label': 'success'})])
        catalogue.pin('one', catalogue.snapshot())
    lines = (store / JOURNAL).read_bytes()
    (store / JOURNAL).unlink()
    with Catalogue(store) as catalogue:
        assert (store / JOURNAL).read_bytes() == lines
        catalogue.register([entry('a', 2)])
    before = contents(store)
    rebuild(store)
    assert contents(store) == before


def test_a_journal_that_is_ahead_is_caught_up_with(store, tmp_path):
    """A kill between the journal and the end of the transaction."""
    with Catalogue(store) as catalogue:
        catalogue.register([entry('a', 0)])
        shutil.copytree(store, tmp_path / 'copy')
        catalogue.register([entry('a', 1)])
        wanted = catalogue.snapshot().id
        data = (store / JOURNAL).read_bytes()
    for torn in (b'', b'{"chain":"12', b'{'):
        (tmp_path / 'copy' / JOURNAL).write_bytes(data + torn)
        with Catalogue(tmp_path / 'copy') as catalogue:
            assert catalogue.snapshot().id == wanted
        assert (tmp_path / 'copy' / JOURNAL).read_bytes() == data


def test_two_catalogues_of_one_store_see_each_other(store):
    with Catalogue(store) as one, Catalogue(store) as two:
        one.register([entry('a', 0)])
        assert two.snapshot() == one.snapshot()
        two.register([entry('a', 1)])
        one.register([entry('a', 2)])
        assert len(two.snapshot().episodes()[0].segments) == 3
        assert two.register([entry('a', 2)]) == 0


@pytest.mark.parametrize(('change', 'text'), [
    (lambda text: text.replace('g1_01', 'g1_02'), 'registration 1 of a does not follow'),
    (lambda text: ''.join(text.splitlines(keepends=True)[1:]), 'registration 2 of a does not fol'),
    (lambda text: 'x' + text, 'is damaged'),
])
def test_a_changed_journal_is_refused(store, change, text):
    with Catalogue(store) as catalogue:
        catalogue.register([entry('a', 0)])
    (store / JOURNAL).write_text(change((store / JOURNAL).read_text()))
    with pytest.raises(CatalogueError, match=text):
        rebuild(store)


def test_a_store_without_a_journal_cannot_be_rebuilt(store):
    with pytest.raises(CatalogueError, match=r'has no registrations\.jsonl .*add its folders'):
        rebuild(store)


def test_a_full_disk_leaves_everything_as_it_was(store, monkeypatch):
    with Catalogue(store) as catalogue:
        catalogue.register([entry('a', 0)])
        before, lines = contents(store), (store / JOURNAL).read_bytes()
        real = Path.open

        def full(path, mode='r', *rest, **options):
            if mode == 'ab':
                raise OSError(28, 'No space left on device')
            return real(path, mode, *rest, **options)

        monkeypatch.setattr(Path, 'open', full)
        with pytest.raises(CatalogueError, match=r'cannot write .*jsonl: No space left on device'):
            catalogue.register([entry('a', 1)])
        monkeypatch.undo()
        assert contents(store) == before
        assert (store / JOURNAL).read_bytes() == lines
        assert catalogue.register([entry('a', 1)]) == 1


KILLED = textwrap.dedent("""
    import json, sys
    from pathlib import Path
    from lwd_data.replay.catalogue import Catalogue
    from lwd_data.replay.ingest import Entry
    from lwd_data.replay.records import EpisodeRecord, SegmentRecord
    catalogue = Catalogue(Path(sys.argv[1]))
    episode = EpisodeRecord('a', Path('/data/a'), 'g1', 'restock', 'do it', 'online')
    for number in range(10**6):
        catalogue.register([Entry(episode, SegmentRecord(
            number, f'a_{number}.mcap', 100, '0' * 64, False))])
        print(number, flush=True)
""")


@pytest.mark.parametrize('after', [3, 60])
def test_a_killed_process_leaves_a_whole_catalogue(store, after):
    process = subprocess.Popen(
        [sys.executable, '-c', KILLED, str(store)], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if int(line) == after:
            break
    os.kill(process.pid, signal.SIGKILL)
    rest = process.stdout.read().split()
    process.wait()
    said = int(rest[-1]) if rest else after
    with Catalogue(store) as catalogue:
        found = len(catalogue.snapshot().episodes()[0].segments)
        assert found in (said + 1, said + 2)
    before = contents(store)
    rebuild(store)
    assert contents(store) == before


def test_a_newer_or_broken_database_is_refused(store):
    with Catalogue(store):
        pass
    with sqlite3.connect(store / database.FILE) as db:
        db.execute('PRAGMA user_version = 7')
    with pytest.raises(CatalogueError, match=r'catalogue\.sqlite is of version 7, this is 1'):
        Catalogue(store)
    for path in store.glob('catalogue*'):
        path.unlink()
    (store / database.FILE).write_bytes(b'nonsense' * 100)
    with pytest.raises(CatalogueError, match=r'cannot open the catalogue .*catalogue\.sqlite'):
        Catalogue(store)
    with pytest.raises(CatalogueError, match='cannot open the catalogue'):
        Snapshot(store / 'none', 0, '00' * 32).episodes()


def test_a_folder_is_added_once_whatever_the_processes(tmp_path, store):
    for kind in ('expert', 'failed'):
        for number in range(3):
            write_episode(tmp_path / 'pool' / 'restock' / kind / f'{kind}_{number}', steps=40,
                          seed=number, segment_seconds=0.7)
    (tmp_path / 'pool' / 'restock' / 'expert' / 'unfinished.part').mkdir()
    shutil.copytree(tmp_path / 'pool' / 'restock' / 'expert' / 'expert_0',
                    tmp_path / 'pool' / 'restock' / 'expert' / 'unfinished.part' / 'x')
    (tmp_path / 'pool' / 'pool.json').write_text('{}')
    with Catalogue(store) as catalogue, Catalogue(tmp_path / 'other') as other:
        assert catalogue.add_folder(tmp_path / 'pool', origin='offline') == 12
        assert catalogue.add_folder(tmp_path / 'pool', origin='offline') == 0
        assert other.add_folder(tmp_path / 'pool', origin='offline', processes=2) == 12
        assert catalogue.snapshot().id == other.snapshot().id
        names = [one.name for one in catalogue.snapshot().episodes()]
    assert names == [f'{kind}_{k}' for kind in ('expert', 'failed') for k in range(3)]


def test_a_single_episode_is_a_folder_too(tmp_path):
    folder = write_episode(tmp_path / 'one', steps=3)
    assert list(episode_folders(folder)) == [folder]
    assert list(episode_folders(tmp_path / 'none')) == []


def test_files_that_are_gone_or_changed_are_named_before_use(tmp_path, store):
    folders = [write_episode(store / f'e{k}', steps=40, seed=k) for k in range(4)]
    with Catalogue(store) as catalogue:
        catalogue.add_folder(store, origin='online')
        records = catalogue.snapshot().episodes()
    assert [str(record.folder) for record in records] == [str(folder) for folder in folders]
    check_files(records, Files())
    (folders[0] / 'e0_0.mcap').unlink()
    data = (folders[1] / 'e1_0.mcap').read_bytes()
    (folders[1] / 'e1_0.mcap').write_bytes(data[:-1])
    other = (folders[2] / 'e2_0.mcap').read_bytes()
    at = other.rindex(b'restock') if b'restock' in other else len(other) // 2
    (folders[2] / 'e2_0.mcap').write_bytes(other[:at] + b'X' + other[at + 1:])
    with pytest.raises(CatalogueError, match=(
            r'3 files of the snapshot .*e0_0\.mcap is missing.*e1_0\.mcap has \d+ bytes, not \d+; '
            r'.*e2_0\.mcap.*Restore them')):
        check_files(records, Files())
    check_files(records[3:], Files())


def test_lost_indexes_and_copied_files_are_no_change(store):
    folder = write_episode(store / 'one', steps=40)
    with Catalogue(store) as catalogue:
        catalogue.add_folder(store, origin='online')
        records = catalogue.snapshot().episodes()
    segment = folder / 'one_0.mcap'
    os.utime(segment, ns=(1, 1))
    check_files(records, Files())
    index_path(segment).unlink()
    check_files(records, Files())
    assert index_path(segment).is_file()


def test_a_store_can_be_moved(tmp_path, store):
    write_episode(store / 'data' / 'one', steps=40)
    with Catalogue(store) as catalogue:
        catalogue.add_folder(store / 'data', origin='online')
        identifier = catalogue.snapshot().id
    store.rename(tmp_path / 'moved')
    with Catalogue(tmp_path / 'moved') as catalogue:
        records = catalogue.open_snapshot(identifier).episodes()
    check_files(records, Files())
    assert records[0].folder == tmp_path / 'moved' / 'data' / 'one'


def test_ingest_stops_at_the_first_missing_segment(tmp_path):
    folder = write_episode(tmp_path / 'one', steps=60, segment_seconds=0.5)
    assert len(ingest(folder, 'online')) == 4
    (folder / 'one_2.mcap').unlink()
    assert [found.segment.number for found in ingest(folder, 'online')] == [0, 1]
