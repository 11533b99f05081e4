# SPDX-License-Identifier: Apache-2.0
"""Cells of a comparison, really trained and tested, and killed anywhere on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_table import SFT_ONLY, SMALL

from lwd_learner import checkpoint
from lwd_policy.store import CRITIC, POLICY, load_critic, load_policy, save_critic
from lwd_rollout import branching
from lwd_rollout.errors import RolloutError
from lwd_rollout.policy_controller import from_folder
from lwd_rollout.pool_make import make
from lwd_rollout.pool_plan import PoolPlan
from lwd_rollout.runner import run_episode
from lwd_rollout.table import output, rounds, schedule, score
from lwd_rollout.table.graph import jobs
from lwd_rollout.table.layout import Layout
from lwd_rollout.table.settings import changed
from lwd_rollout.table.train import train

# Trains a dozen small cells: on a busy machine that takes its time.
pytestmark = pytest.mark.timeout(900)
METHODS = ('recap', 'hg_dagger', 'filtered_same')
PROTOCOL = replace(SMALL, methods=METHODS)


class Killed(BaseException):
    """What ends a process, to the code that it ends."""


def _short(setting, seed, make, **options):
    return run_episode(replace(setting, max_seconds=1.5), seed, make, **options)


@pytest.fixture(autouse=True)
def short_episodes(monkeypatch):
    for module in (rounds, score, branching):
        monkeypatch.setattr(module, 'run_episode', _short)


@pytest.fixture(scope='module')
def pool(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data') / 'pool'
    make(folder, PoolPlan(hours=PROTOCOL.pool.hours, tasks=('restock',)), processes=1)
    return folder


@pytest.fixture(scope='module')
def whole(pool, tmp_path_factory):
    """A comparison that nothing interrupted."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (rounds, score, branching):
            patch.setattr(module, 'run_episode', _short)
        layout = Layout(tmp_path_factory.mktemp('run') / 'whole', PROTOCOL, pool)
        said = []
        assert schedule.run(layout, here=True, say=said.append) == {}
    assert said[-1].endswith('about 0 s left')
    return layout


def _version(layout, name):
    return load_policy(layout.cell(name, 0) / POLICY)[2].version


def _note(layout, name):
    return layout.read(layout.cell(name, 0) / 'trained.json')


def test_every_job_leaves_its_result(whole):
    assert all(schedule.is_done(whole, job) for job in jobs(PROTOCOL))
    found = output.write(whole)
    assert all(set(METHODS) < set(methods) for methods in found['variants'].values())
    assert set(found['critics']) == {'lwd_offline', 'lwd_online'}
    assert not list(whole.folder.rglob('*.part'))


def test_all_is_trained_on_equal_data(whole):
    budget, online = PROTOCOL.budget, PROTOCOL.online
    assert len({_note(whole, name)['snapshot'] for name in (
        'sft', 'sft_long', 'recap_offline', 'lwd_offline')}) == 1
    for name in ('recap', 'hg_dagger', 'lwd_online'):
        rows = _note(whole, name)['rounds']
        assert [row['episodes'] for row in rows] == [online.episodes] * online.rounds
    # The same bags as LWD's: the same data, to the snapshot's hash.
    assert _note(whole, 'filtered_same')['rounds'] == []
    assert _note(whole, 'filtered_same')['snapshot'] == _note(whole, 'lwd_online')['snapshot']
    assert _note(whole, 'lwd_online')['updates'] == (
        budget.offline - budget.reference + online.rounds * budget.round)
    assert _note(whole, 'hg_dagger')['updates'] == online.rounds * budget.round


def test_rounds_begin_with_what_the_last_one_made(whole):
    cell = whole.cell('lwd_online', 0)
    versions = [load_policy(cell / 'rounds' / str(number) / POLICY)[2].version
                for number in range(2)]
    assert versions[0] == _version(whole, 'lwd_offline')
    assert len({*versions, _version(whole, 'lwd_online')}) == 3


def test_recaps_condition_is_measured(whole):
    effect = _note(whole, 'recap')['condition']
    assert effect['spread'] > 0.0
    assert np.isfinite(effect['shift'])


def test_only_methods_with_a_critic_leave_one(whole):
    assert (whole.cell('lwd_online', 0) / CRITIC).is_dir()
    assert not (whole.cell('recap', 0) / CRITIC).exists()


def _copied(whole, tmp_path, name):
    """Return a copy of a comparison in which one cell was never begun."""
    layout = replace(whole, folder=tmp_path / 'copy')
    shutil.copytree(whole.folder, layout.folder)
    shutil.rmtree(layout.cell(name, 0))
    return layout


@pytest.mark.parametrize(('name', 'updates'), [
    ('sft', 1), ('recap_offline', 3), ('lwd_offline', 4), ('recap', 3), ('hg_dagger', 5),
    ('lwd_online', 2), ('filtered_same', 7)])
def test_a_cell_that_was_killed_in_training_comes_out_the_same(whole, tmp_path, name, updates):
    layout = _copied(whole, tmp_path, name)
    count = 0

    def kill():
        nonlocal count
        count += 1
        if count == updates:
            raise Killed

    with pytest.raises(Killed):
        train(layout, name, 0, on_update=kill)
    assert _note(layout, name) is None
    train(layout, name, 0)
    assert _version(layout, name) == _version(whole, name)
    assert train(layout, name, 0) == {}


@pytest.mark.parametrize('after', ['recording', 'renaming'])
def test_a_round_that_was_killed_comes_out_the_same(whole, tmp_path, monkeypatch, after):
    layout = _copied(whole, tmp_path, 'lwd_online')
    with monkeypatch.context() as patch:
        def kill(*_):
            raise Killed

        if after == 'recording':
            patch.setattr(rounds, 'row_of', kill)
            patch.setattr(Path, 'rename', kill)
        else:
            patch.setattr(rounds.Lines, 'add', kill)
        with pytest.raises(Killed):
            train(layout, 'lwd_online', 0)
    train(layout, 'lwd_online', 0)
    assert _version(layout, 'lwd_online') == _version(whole, 'lwd_online')
    assert _note(layout, 'lwd_online')['rounds'] == _note(whole, 'lwd_online')['rounds']


def test_tests_that_were_killed_go_on(whole, tmp_path, monkeypatch):
    layout = _copied(whole, tmp_path, 'hg_dagger')
    shutil.copytree(whole.cell('hg_dagger', 0), layout.cell('hg_dagger', 0))
    for job in jobs(PROTOCOL):
        if job.kind == 'score' and job.method == 'hg_dagger':
            layout.scores(job.method, 0, job.task, job.noise, job.best_of).unlink()
    job = next(job for job in jobs(PROTOCOL)
               if job.kind == 'score' and job.method == 'hg_dagger' and job.best_of == 2)
    seen = []

    def kill_second(setting, seed, make, **options):
        seen.append(seed)
        if len(seen) == 2:
            raise Killed
        return _short(setting, seed, make, **options)

    monkeypatch.setattr(score, 'run_episode', kill_second)
    with pytest.raises(Killed):
        score.score(layout, job)
    assert score.score(layout, job)['episodes restock'][0] == 1
    # The first scene was not run again.
    assert len(seen) == len(set(seen)) + 1 == 3
    file = layout.scores('hg_dagger', 0, 'restock', 1.0, 2)
    assert layout.read(file) == whole.read(whole.scores('hg_dagger', 0, 'restock', 1.0, 2))


def test_what_fails_fails_alone(whole, tmp_path):
    layout = _copied(whole, tmp_path, 'lwd_online')
    weights = layout.cell('lwd_offline', 0) / checkpoint.FILE
    weights.write_bytes(weights.read_bytes()[:-200])
    # Its own results stay; what goes on from its state cannot.
    failures = schedule.run(layout, here=True)
    assert 'is damaged' in failures['train lwd_online-0']
    assert failures['score lwd_online-0 restock noise 1 best of 1'].startswith(
        'it needs what could not be done: train lwd_online-0')
    assert 'hg_dagger' in output.write(layout)['variants']['noise 1, best of 1']


def test_a_critic_of_other_data_cannot_choose(whole, tmp_path):
    critic = load_critic(whole.cell('lwd_online', 0) / CRITIC)
    critic.actions.quantiles.scale.mul_(2.0)
    policy, _, card = load_policy(whole.cell('hg_dagger', 0) / POLICY)
    save_critic(tmp_path / CRITIC, critic, policy.config, card)
    with pytest.raises(RolloutError, match='normalises actions otherwise'):
        from_folder(whole.cell('hg_dagger', 0) / POLICY, 0, best_of=2, critic=tmp_path / CRITIC)


def test_policies_may_see_images(tmp_path):
    train_config = changed(changed(SMALL.train, 'policy.observation', 'cameras'),
                           'policy.image_size', 32)
    layout = Layout(tmp_path, replace(
        SFT_ONLY, pool=replace(SMALL.pool, hours=0.001), budget=SMALL.budget,
        train=changed(train_config, 'policy.cameras', ('head',))))
    assert schedule.run(layout, processes=1, here=True) == {}
    policy, _, card = load_policy(layout.cell('sft', 0) / POLICY)
    assert card.observation == policy.config.observation == 'cameras'
    assert output.write(layout)['variants']['noise 1, best of 1']['sft']['seeds'] == [0]


def _children(pid):
    return [int(text) for text in
            Path(f'/proc/{pid}/task/{pid}/children').read_text().split()]


def _until(condition, seconds=600.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_killed_run_leaves_no_process_and_goes_on(pool, tmp_path):
    folder = tmp_path / 'run'
    here = Path(__file__).parent
    process = subprocess.Popen(
        [sys.executable, here / 'run_small_table.py', folder, pool],
        env={**os.environ, 'PYTHONPATH': f'{here}:{os.environ.get("PYTHONPATH", "")}'})
    file = folder / 'cells' / 'sft-0' / checkpoint.FILE
    try:
        _until(lambda: file.is_file() or process.poll() is not None)
        assert process.poll() is None
        workers = _children(process.pid)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert workers
    _until(lambda: not any(_alive(pid) for pid in workers))
    note = folder / 'cells' / 'sft-0' / 'trained.json'
    layout = Layout(folder, SFT_ONLY, pool)
    assert schedule.run(layout, here=True) == {}
    assert json.loads(note.read_text())['updates'] == 200


def _alive(pid):
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False
