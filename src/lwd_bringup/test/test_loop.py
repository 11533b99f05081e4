# SPDX-License-Identifier: Apache-2.0
"""What a run of the loop is, what it compares, what it shows."""

import io
import json
from itertools import pairwise

import pytest
from rich.console import Console

from lwd_bringup.errors import BringupError
from lwd_bringup.loop.comparison import Result, compare, mcnemar
from lwd_bringup.loop.plan import LoopPlan, begin, resumed
from lwd_bringup.loop.state import EpisodeFact, FleetFact, PolicyFact, RobotFact, quantile
from lwd_bringup.loop.terminal import render
from lwd_bringup.loop.timeline import time_spent


def results(successes, task='restock'):
    return [Result(task, seed, bool(value), float(value), 5.0)
            for seed, value in enumerate(successes)]


def test_policies_are_compared_scene_by_scene():
    first, last = [0, 0, 1, 0, 1, 0, 0, 0], [1, 1, 1, 1, 0, 1, 1, 0]
    found = compare(results(first), results(last))
    assert (found.episodes, found.better, found.worse) == (8, 5, 1)
    assert (found.first, found.last, found.gain) == (0.25, 0.75, 0.5)
    assert found.first_low < 0.25 < found.first_high
    assert found.gain_low <= 0.5 <= found.gain_high
    assert found.by_task == {'restock': (0.25, 0.75)}
    swapped = compare(results(last), results(first))
    assert swapped.gain == -0.5
    assert swapped.p_value == found.p_value
    with pytest.raises(BringupError, match='different scenes'):
        compare(results(first), results(last, 'cooler'))


@pytest.mark.parametrize(('better', 'worse', 'p'), [
    (0, 0, 1.0), (5, 0, 0.0625), (3, 3, 1.0), (9, 1, 22 / 1024)])
def test_mcnemar_is_the_exact_binomial_test(better, worse, p):
    assert mcnemar(better, worse) == pytest.approx(p)
    assert mcnemar(worse, better) == pytest.approx(p)


def test_a_plan_is_kept_and_a_run_is_not_begun_twice(tmp_path):
    plan = begin(tmp_path / 'run', LoopPlan(
        robots=3, tasks=('tea',), policy='some/policy',
        settings={'robot.driver.mode': 'lockstep'}))
    assert plan.policy.startswith('/')
    assert resumed(tmp_path / 'run') == plan
    with pytest.raises(BringupError, match='--resume'):
        begin(tmp_path / 'run', LoopPlan())
    with pytest.raises(BringupError, match='holds no run'):
        resumed(tmp_path)
    (tmp_path / 'run' / 'plan.json').write_text('{"robts": 2}')
    with pytest.raises(BringupError, match='cannot be read'):
        resumed(tmp_path / 'run')


@pytest.mark.parametrize(('values', 'said'), [
    ({'tasks': ('restok',)}, "did you mean 'restock'"), ({'tasks': ()}, 'tasks is empty'),
    ({'robots': 0}, 'robots is 0'), ({'minutes': 0.0}, 'minutes is 0'),
    ({'episodes': 0}, 'episodes is 0'), ({'pool_hours': -1.0}, 'pool_hours is -1')])
def test_plans_that_cannot_be_are_refused(values, said):
    with pytest.raises(BringupError, match=said):
        LoopPlan(**values)


def test_runs_with_other_seeds_are_evaluated_on_other_scenes():
    firsts = [LoopPlan(seed=seed).first_test_seed for seed in range(4)]
    assert all(b - a >= LoopPlan().episodes for a, b in pairwise(firsts))


def test_the_time_that_was_spent_outlives_a_kill(tmp_path):
    assert time_spent(tmp_path / 'timeline.jsonl') == 0.0
    rows = [{'seconds': 5.0, 'before': 0.0}, {'seconds': 30.0, 'before': 0.0},
            {'seconds': 10.0, 'before': 30.0}]
    text = ''.join(json.dumps(row) + '\n' for row in rows)
    (tmp_path / 'timeline.jsonl').write_text(text + '{"seconds": 2')
    assert time_spent(tmp_path / 'timeline.jsonl') == 40.0


def fleet():
    return FleetFact(
        seconds=90.0,
        robots={'g1_01': RobotFact('g1_01', task='restock', control='teleop', version='ab' * 32,
                                   pending='cd' * 32, episodes=7, successes=4, steps=900)},
        policies=[PolicyFact(1, 'aa', 0, '', 3.0, {'g1_01': 5.0}),
                  PolicyFact(2, 'ab', 50, 's', 40.0, {'g1_01': 41.5})],
        episodes=[EpisodeFact('g1_01', 'e1', 'restock', 'success', 1.0, ['aa'], 1, 10.0, 10.5),
                  EpisodeFact('g1_01', 'e2', 'restock', 'timeout', 0.0, ['aa'], 0, 20.0, 22.0),
                  EpisodeFact('g1_01', 'e3', 'restock', 'timeout', 0.0, ['aa'], 0, 80.0)])


def test_latencies_are_those_of_what_arrived():
    fact = fleet()
    assert fact.upward() == [0.5, 2.0]
    # The first policy is where everybody begins; it was not waited for.
    assert fact.downward() == [1.5]
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([], 0.5) is None


def test_the_terminal_shows_who_is_in_control_and_what_has_arrived():
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(render(fleet(), 10.0))
    text = console.export_text()
    for part in ('g1_01', 'teleop', 'abababab', 'cdcdcdcd', '4/7', '1.5 of 10 minutes', '10',
                 'P50 0.50 s', 'latest 3', '33% succeeded, 0% without help'):
        assert part in text
