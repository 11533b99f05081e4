# SPDX-License-Identifier: Apache-2.0
"""The clock of a simulated fleet, and fleets that learn on it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from small_table import SMALL

from lwd_data.replay.catalogue import Catalogue
from lwd_policy.store import POLICY, load_policy
from lwd_rollout.errors import TableError
from lwd_rollout.pool_make import make
from lwd_rollout.pool_plan import PoolPlan
from lwd_rollout.runner import run_episode
from lwd_rollout.table import rounds, scaling, scaling_report
from lwd_rollout.table.fleet_clock import Pace, run_fleet
from lwd_rollout.table.layout import Layout
from lwd_rollout.table.scaling import ScalingPlan, scale
from lwd_rollout.table.schedule import prepare
from lwd_rollout.table.train import train

# Trains small cells: on a busy machine that takes its time.
pytestmark = pytest.mark.timeout(900)
PROTOCOL = replace(SMALL, methods=('lwd_offline',), testing=replace(SMALL.testing, best_of=(1,)))
PLAN = ScalingPlan(robots=(2,), round_episodes=2, rounds=2, episodes=1, reset=1.0, target=0.9)


def _simulate(robots, pace, rounds_wanted, seconds=10.0):
    begun, trained = [], []

    def episode(one):
        begun.append(one)
        return seconds

    def learn(this, episodes):
        trained.append((this, episodes))
        return len(trained) < rounds_wanted

    run_fleet(robots, pace, episode, learn)
    return begun, trained


def test_one_robot_waits_for_nobody_and_the_learner_for_episodes():
    begun, trained = _simulate(1, Pace(5.0, 100.0, 4), 2)
    # An episode every 15 s, over 10 s after it began: the fourth one at 55 s.
    assert [one.time for one in begun[:4]] == [0.0, 15.0, 30.0, 45.0]
    first, second = trained[0][0], trained[1][0]
    assert (first.time, first.published, first.episodes) == (55.0, 155.0, 4)
    # By 155 s ten are over; four new ones were long there.
    assert (second.time, second.episodes) == (155.0, 10)
    assert {one.version for one in begun if one.time < 155.0} == {0}
    assert trained[1][1] == list(range(10))


def test_robots_take_a_policy_at_their_next_episode():
    begun, _ = _simulate(3, Pace(0.0, 25.0, 3), 3)
    # Published at 35 s; who began at 30 s goes on with the old one until 40 s.
    assert {one.version for one in begun if one.time <= 30.0} == {0}
    assert {one.version for one in begun if 40.0 <= one.time < 60.0} == {1}


def test_a_slow_learner_is_no_quicker_with_more_robots():
    slow = [_simulate(robots, Pace(0.0, 1000.0, 4), 3)[1][-1][0].published
            for robots in (4, 16)]
    assert slow[0] == pytest.approx(slow[1], rel=0.01)
    quick = [_simulate(robots, Pace(0.0, 0.1, 4), 3)[1][-1][0].published for robots in (1, 4)]
    assert quick[0] == pytest.approx(4.0 * quick[1], rel=0.05)


def test_no_round_knows_what_came_after_it():
    lengths = iter([7.0, 30.0, 3.0, 11.0, 19.0, 2.0, 5.0, 23.0] * 20)
    ends = {}
    trained = []

    def episode(one):
        ends[one.number] = one.time + (seconds := next(lengths))
        return seconds

    def learn(this, episodes):
        trained.append((this, episodes))
        return len(trained) < 8

    run_fleet(3, Pace(1.0, 6.0, 3), episode, learn)
    for this, episodes in trained:
        # What was over by then, also among what was simulated later.
        assert sorted(episodes) == sorted(n for n, end in ends.items() if end <= this.time)
        assert len(episodes) == this.episodes
    counts = [this.episodes for this, _ in trained]
    assert all(after - before >= 3 for before, after in itertools.pairwise(counts))


@pytest.fixture(scope='module')
def layout(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    make(folder / 'pool', PoolPlan(hours=SMALL.pool.hours, tasks=('restock',)), processes=1)
    found = Layout(folder / 'run', PROTOCOL, folder / 'pool')
    found.freeze()
    prepare(found, processes=1, say=lambda _: None)
    for name in ('sft', 'lwd_offline'):
        train(found, name, 0)
    return found


@pytest.fixture(autouse=True)
def short_episodes(monkeypatch):
    def short(setting, seed, make, **options):
        return run_episode(replace(setting, max_seconds=1.5), seed, make, **options)

    for module in (rounds, scaling):
        monkeypatch.setattr(module, 'run_episode', short)


def test_a_killed_fleet_comes_out_the_same(layout, tmp_path, monkeypatch):
    said = []
    found = scale(layout, PLAN, 2, say=said.append)
    assert found['reached'] is None
    assert [row['number'] for row in found['rounds']] == [-1, 0, 1]
    assert len(said) == 2
    folder = layout.folder / 'scaling' / '2-robots'
    versions = [load_policy(folder / 'rounds' / str(i) / POLICY)[2].version for i in range(2)]
    assert len(set(versions)) == 2
    with Catalogue(folder / 'replay') as catalogue:
        online = [one for one in catalogue.snapshot().episodes() if one.origin == 'online']
    assert len(online) == found['rounds'][-1]['episodes']
    assert scale(layout, PLAN, 2) == found

    class Killed(BaseException):
        pass

    calls = []

    def kill(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 3:
            raise Killed
        return save(*arguments, **options)

    other = replace(layout, folder=tmp_path / 'other')
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other' / 'cells').symlink_to(layout.folder / 'cells')
    save = scaling.Lines.add
    with monkeypatch.context() as patch:
        patch.setattr(scaling.Lines, 'add', kill)
        with pytest.raises(Killed):
            scale(other, PLAN, 2)
    assert scale(other, PLAN, 2)['rounds'] == found['rounds']
    again = other.folder / 'scaling' / '2-robots' / 'rounds'
    assert [load_policy(again / str(i) / POLICY)[2].version for i in range(2)] == versions
    text = scaling_report.markdown([found])
    assert '| 2 | not reached | not reached | not reached | 2 | 0.00 |' in text
    scaling_report.draw([found], tmp_path / 'scaling.png')
    assert (tmp_path / 'scaling.png').stat().st_size > 5000


def test_a_fleet_that_is_good_enough_learns_no_more(layout):
    plan = replace(PLAN, target=0.0)
    folder = layout.folder / 'scaling'
    with pytest.raises(TableError, match=r'begun with another plan \(target 0.9, not 0.0\)'):
        scale(layout, plan, 1)
    assert folder.is_dir()
    fresh = replace(layout, folder=layout.folder.with_name('good'))
    fresh.folder.mkdir()
    (fresh.folder / 'cells').symlink_to(layout.folder / 'cells')
    found = scale(fresh, plan, 1)
    assert found['reached']['episodes'] == 0
    assert '| 1 | 0 | 0 | 0.0 | 0 |' in scaling_report.markdown([found])


def test_bad_plans_are_refused(layout):
    for changes, text in (({'robots': ()}, 'give at least one'), ({'robots': (0,)}, '1 or more'),
                          ({'rounds': 0}, 'rounds is 0'), ({'reset': -1.0}, 'reset is -1.0')):
        with pytest.raises(TableError, match=text):
            replace(PLAN, **changes)
    with pytest.raises(TableError, match='fleets begin from that cell'):
        scale(replace(layout, folder=layout.folder / 'none'), PLAN, 1)
