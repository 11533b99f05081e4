# SPDX-License-Identifier: Apache-2.0
import json
from dataclasses import dataclass, field

import numpy as np
import pytest

from lwd_data.errors import ExchangeError
from lwd_data.exchange import mapping_file
from lwd_data.exchange.recording import Recording, Reference
from lwd_data.reader import EpisodeReader
from lwd_msgs.msg import ControlStep
from lwd_rollout.errors import PoolError
from lwd_rollout.pool import MANIFEST, PLAN, load, verify
from lwd_rollout.pool_figure import draw
from lwd_rollout.pool_import import import_into
from lwd_rollout.pool_make import make
from lwd_rollout.pool_plan import PoolPlan


@dataclass
class Given:
    """A source of small recordings."""

    count: int = 3
    name: str = 'given'
    bad: tuple = ()
    label: str = 'success'
    names: str = 'given_{}'
    mapping: object = field(default_factory=lambda: mapping_file.find('lerobot-lwd'))
    cameras: tuple = ()
    read_names: list = field(default_factory=list)
    stop_in: int = -1
    """The images of this episode are interrupted."""

    def episodes(self):
        return [Reference(self.names.format(number), number, f'task-{number % 2}')
                for number in range(self.count)]

    def read(self, reference):
        number = reference.key
        self.read_names.append(reference.name)
        if number in self.bad:
            raise ExchangeError(f'{number} is bad')
        found = Recording(
            where='here', name=reference.name, task=reference.task, instruction='do it',
            label=self.label, time_s=np.arange(10) / 30.0, state=np.full((10, 20), 0.1 * number),
            command=np.zeros((10, 16)),
            source=np.full(10, ControlStep.SOURCE_EXPERT, np.uint8))
        if number == self.stop_in:
            found.cameras = {'head': Interrupted()}
        return found


class Interrupted:
    """Images in the middle of which somebody presses Ctrl-C."""

    def read(self, rows):
        yield np.zeros((8, 8, 3), np.uint8)
        raise KeyboardInterrupt


def test_a_pool_of_imported_episodes_is_a_pool(tmp_path):
    done = import_into(tmp_path / 'pool', Given())
    assert (done.new, done.known, done.refused) == (3, 0, [])
    pool = load(tmp_path / 'pool')
    assert pool == done.pool
    assert verify(pool) == []
    assert pool.plan.task_names == ('task-0', 'task-1')
    assert {(one.kind, one.label, one.steps) for one in pool.entries} == {
        ('expert', 'success', 10)}
    assert pool.hours() == pytest.approx(30 / 30 / 3600)
    for entry in pool.entries:
        assert len(EpisodeReader(pool.folder / entry.episode).steps()) == 10
    draw(pool, tmp_path / 'pool.png')
    assert (tmp_path / 'pool.png').stat().st_size > 1000
    manifest = json.loads((tmp_path / 'pool' / MANIFEST).read_text())
    assert manifest['plan']['imported']['given']['name'] == 'lerobot-lwd'


def test_failures_are_of_their_own_kind(tmp_path):
    done = import_into(tmp_path / 'pool', Given(label='failure'))
    assert {one.kind for one in done.pool.entries} == {'failed'}


def test_what_is_there_is_not_imported_again(tmp_path):
    import_into(tmp_path / 'pool', Given(count=2))
    again = Given(count=3)
    done = import_into(tmp_path / 'pool', again)
    assert (done.new, done.known) == (1, 2)
    assert again.read_names == ['given_2']
    assert len(done.pool.entries) == 3


def test_an_interrupted_import_is_gone_on_with_to_the_same_bytes(tmp_path):
    whole = import_into(tmp_path / 'whole', Given())
    with pytest.raises(KeyboardInterrupt):
        import_into(tmp_path / 'pool', Given(stop_in=1))
    assert not list((tmp_path / 'pool').rglob('given_1*'))
    with pytest.raises(PoolError, match='unfinished import of given'):
        load(tmp_path / 'pool')
    # As a kill leaves it: one episode without its note, one half written.
    (tmp_path / 'pool/task-0/expert/given_0.json').unlink()
    (tmp_path / 'pool/task-1/expert/given_1.part/given_1').mkdir(parents=True)
    done = import_into(tmp_path / 'pool', Given())
    assert done.pool.entries == whole.pool.entries
    assert not list((tmp_path / 'pool').rglob('*.part'))


def test_refused_episodes_are_left_out_and_tried_again(tmp_path):
    done = import_into(tmp_path / 'pool', Given(count=8, bad=(1, 4, 5, 6, 7)))
    assert (done.new, done.refused[0]) == (3, '1 is bad')
    assert len(done.refused) == 5
    assert len(load(tmp_path / 'pool').entries) == 3
    done = import_into(tmp_path / 'pool', Given(count=8))
    assert (done.new, done.known) == (5, 3)


def test_an_import_stops_where_nothing_fits(tmp_path):
    source = Given(count=9, bad=tuple(range(9)))
    with pytest.raises(PoolError, match='first 5 episodes of given were all refused') as found:
        import_into(tmp_path / 'pool', source)
    assert '0 is bad' in str(found.value)
    assert len(source.read_names) == 5


def test_progress_counts_episodes(tmp_path):
    seen = []
    import_into(tmp_path / 'pool', Given(), progress=lambda at, of: seen.append((at, of)))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert import_into(tmp_path / 'other', Given(), most=2).new == 2


def test_two_data_sets_go_into_one_pool_each_in_its_own_way(tmp_path):
    import_into(tmp_path / 'pool', Given())
    done = import_into(tmp_path / 'pool', Given(name='more', names='more_{}', count=1))
    assert len(done.pool.entries) == 4
    assert set(done.pool.plan.imported) == {'given', 'more'}
    other = Given(mapping=mapping_file.find('lerobot-agibot'))
    with pytest.raises(PoolError, match='imported otherwise') as found:
        import_into(tmp_path / 'pool', other)
    assert "name 'lerobot-lwd', not 'lerobot-agibot'" in str(found.value)


def test_pools_of_both_kinds_keep_apart(tmp_path):
    plan = PoolPlan(hours=0.001, tasks=('restock',))
    import_into(tmp_path / 'pool', Given())
    with pytest.raises(PoolError, match='holds imported episodes'):
        make(tmp_path / 'pool', plan, processes=1)
    (tmp_path / 'made').mkdir()
    (tmp_path / 'made' / PLAN).write_text('{"version": 1, "hours": 1}')
    with pytest.raises(PoolError, match='holds a pool of `lwd pool make`'):
        import_into(tmp_path / 'made', Given())
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full/notes.txt').write_text('mine')
    with pytest.raises(PoolError, match='is not empty and holds no pool'):
        import_into(tmp_path / 'full', Given())


@pytest.mark.parametrize('name', ['../outside', '/etc', '.hidden', 'a/b', '', 'x.part', 'ü'])
def test_names_that_are_no_folders_are_refused(tmp_path, name):
    with pytest.raises(PoolError, match='cannot be a folder'):
        import_into(tmp_path / 'pool', Given(names=name))
    assert not (tmp_path / 'pool').exists()


def test_a_disk_that_refuses_is_told(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(PoolError, match='cannot write to'):
        import_into(tmp_path / 'file/pool', Given())


def test_names_that_are_there_twice_are_refused(tmp_path):
    with pytest.raises(PoolError, match="names two episodes 'one'"):
        import_into(tmp_path / 'pool', Given(names='one'))


def test_a_source_without_episodes_is_refused(tmp_path):
    with pytest.raises(PoolError, match='given has no episode to import'):
        import_into(tmp_path / 'pool', Given(count=0))
