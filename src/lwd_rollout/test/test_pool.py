# SPDX-License-Identifier: Apache-2.0
import json
import shutil

import pytest

from lwd_data.reader import EpisodeReader
from lwd_rollout import pool as pools
from lwd_rollout.errors import PoolError
from lwd_rollout.pool import load, verify
from lwd_rollout.pool_figure import draw
from lwd_rollout.pool_make import make
from lwd_rollout.pool_plan import MIXTURE, PoolPlan, cells

PLAN = PoolPlan(hours=0.006, tasks=('restock',))


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp('pool') / 'one'
    return make(folder, PLAN, processes=2)


def test_a_pool_has_its_hours_and_kinds(made):
    assert made.hours() >= PLAN.hours
    labels = {kind: {entry.label for entry in made.entries if entry.kind == kind}
              for kind in MIXTURE}
    assert labels['expert'] == labels['rollout'] == {'success'}
    assert labels['failed'] <= {'failure', 'timeout'}
    assert labels['failed']
    assert labels['play']
    for entry in made.entries:
        steps = EpisodeReader(made.folder / entry.episode).steps()
        assert len(steps) == entry.steps


def test_the_hours_of_each_kind_are_those_of_the_mixture():
    planned = cells(PoolPlan(hours=100.0, tasks=('restock',)))
    assert sum(cell.seconds for cell in planned) == pytest.approx(360_000.0)
    shares = {cell.kind: cell.seconds / 360_000.0 for cell in planned}
    assert shares == pytest.approx(MIXTURE)
    assert MIXTURE['expert'] == 0.516
    assert MIXTURE['failed'] == 0.348
    assert sum(MIXTURE.values()) == pytest.approx(1.0)


def test_a_pool_is_read_back_and_its_hashes_hold(made):
    assert load(made.folder) == made
    assert verify(made) == []
    manifest = json.loads((made.folder / pools.MANIFEST).read_text())
    assert manifest['total']['episodes'] == len(made.entries)
    assert manifest['kinds']['expert']['episodes'] > 0


def test_an_interrupted_pool_is_finished_to_the_same_bytes(made, tmp_path):
    folder = tmp_path / 'one'
    shutil.copytree(made.folder, folder)
    (folder / pools.MANIFEST).unlink()
    lost = made.entries[0]
    shutil.rmtree(folder / lost.episode)
    (folder / lost.task / lost.kind / f'{lost.seed}.json').unlink()
    torn = folder / lost.task / lost.kind / 'torn.part'
    torn.mkdir()
    with pytest.raises(PoolError, match='is an unfinished pool: run `lwd pool make'):
        load(folder)
    again = make(folder, PLAN, processes=1)
    assert again.entries == made.entries
    assert verify(again) == []
    assert not torn.exists()


def test_a_changed_or_missing_episode_is_found(made, tmp_path):
    folder = tmp_path / 'one'
    shutil.copytree(made.folder, folder)
    copy = load(folder)
    first, second = copy.entries[:2]
    shutil.rmtree(folder / first.episode)
    segment = next((folder / second.episode).glob('*.mcap'))
    segment.write_bytes(segment.read_bytes()[:-1] + b'x')
    wrong = verify(copy)
    assert wrong[0] == f'{first.episode} is missing'
    assert f'{second.episode} has changed' in wrong[1]


def test_other_plans_versions_and_folders_are_refused(made, tmp_path):
    with pytest.raises(PoolError, match=r'holds a pool of another plan \(hours 0.006, not 5.0\)'):
        make(made.folder, PoolPlan(hours=5.0, tasks=('restock',)))
    (tmp_path / 'thing').write_text('')
    with pytest.raises(PoolError, match='is not empty and holds no pool'):
        make(tmp_path, PLAN)
    with pytest.raises(PoolError, match='holds no pool'):
        load(tmp_path)
    folder = tmp_path / 'old'
    folder.mkdir()
    (folder / pools.PLAN).write_text(json.dumps({'version': 0}))
    with pytest.raises(PoolError, match=r'written by version 0 .* can still be read one by one'):
        load(folder)
    (folder / pools.PLAN).write_text('{')
    with pytest.raises(PoolError, match='is damaged'):
        load(folder)


@pytest.mark.parametrize(('changes', 'text'), [
    ({'hours': 0.0}, 'hours is 0.0'), ({'tasks': ('restok',)}, "did you mean 'restock'")])
def test_plans_that_cannot_be_are_refused(changes, text):
    with pytest.raises(PoolError, match=text):
        PoolPlan(**changes)


def test_a_kind_that_never_comes_out_is_an_error(tmp_path):
    plan = PoolPlan(hours=0.01, tasks=('restock',), severity=1e-9, max_draws=2)
    with pytest.raises(PoolError, match='3 rollouts of restock in a row, and none is failed'):
        make(tmp_path / 'one', plan, processes=1)


def test_the_figure_is_drawn(made, tmp_path):
    file = tmp_path / 'pool.png'
    draw(made, file)
    assert file.read_bytes().startswith(b'\x89PNG')
    assert file.stat().st_size > 10_000
