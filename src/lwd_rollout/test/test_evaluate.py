# SPDX-License-Identifier: Apache-2.0
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from lwd_rollout.errors import EvaluationError
from lwd_rollout.evaluate import EvaluationPlan, as_json, evaluate
from lwd_rollout.runner import run_episode
from lwd_rollout.statistics import bootstrap_mean, wilson


def test_an_evaluation_has_a_row_a_task_and_distribution(tmp_path):
    plan = EvaluationPlan(tasks=('restock',), episodes=2)
    calls = []
    rows = evaluate(plan, tmp_path, processes=2, progress=lambda *done: calls.append(done))
    assert [(row.task, row.distribution) for row in rows] == [
        ('restock', 'train'), ('restock', 'deploy')]
    assert all(row.episodes == 2 for row in rows)
    assert rows[0].success_low <= rows[0].success <= rows[0].success_high
    assert rows[0].subtasks == {'placed': rows[0].score}
    assert (tmp_path / 'restock.png').stat().st_size > 10_000
    assert calls[-1][:2] == (4, 4)
    assert as_json(plan, rows)['plan']['split'] == 'tune'


def test_the_same_plan_gives_the_same_rows():
    plan = EvaluationPlan('flawed:1.0', ('restock',), ('train',), episodes=3, films=False)
    assert evaluate(plan, processes=2) == evaluate(plan, processes=1)


def test_held_out_phrases_reach_the_controller_in_the_same_scenes(monkeypatch):
    heard = {}

    def listen(setting, seed, make, **_):
        def hear(world):
            heard[setting.phrasing, seed] = (world.scene.instruction, world.state().tobytes())
            return make(world)

        return run_episode(replace(setting, max_seconds=0.1), seed, hear)

    monkeypatch.setattr('lwd_rollout.evaluate.run_episode', listen)
    monkeypatch.setattr('lwd_rollout.evaluate.workers', lambda _: ThreadPoolExecutor(1))
    for phrasing in ('train', 'held_out'):
        evaluate(EvaluationPlan(tasks=('restock',), distributions=('train',), episodes=3,
                                phrasing=phrasing, films=False))
    assert len(heard) == 6
    for (phrasing, seed), (instruction, state) in heard.items():
        other, same = heard['held_out' if phrasing == 'train' else 'train', seed]
        assert instruction != other
        assert state == same


@pytest.mark.parametrize(('changes', 'text'), [
    ({'controller': 'exprt'}, "unknown controller 'exprt'. Known: expert"),
    ({'controller': 'flawed:much'}, 'write a severity, as in flawed:1.0'),
    ({'tasks': ('restok',)}, "did you mean 'restock'"),
    ({'distributions': ('wild',)}, "unknown distribution 'wild'"),
    ({'phrasing': 'rude'}, "unknown phrasing 'rude'. Known: train, held_out"),
    ({'episodes': 0}, 'episodes is 0'),
    ({'split': 'pool'}, 'are for training; evaluate on tune or test'),
    ({'split': 'online'}, 'are for training'),
    ({'split': 'tst'}, "unknown split 'tst'; did you mean 'test'"),
    ({'first_seed': 10**9}, 'do not lie in split'),
])
def test_plans_that_cannot_be_are_refused(changes, text):
    with pytest.raises(EvaluationError, match=text):
        EvaluationPlan(**changes)


def test_wilsons_interval_is_the_known_one():
    # Newcombe 1998, table I: 81 of 263 and 0 of 20.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


def test_the_bootstrap_covers_the_mean():
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(200):
        low, high = bootstrap_mean(rng.uniform(size=40), seed=seed, draws=300)
        covered += low <= 0.5 <= high
    assert 170 <= covered <= 199
    assert bootstrap_mean([]) == (0.0, 1.0)
    assert bootstrap_mean([0.3] * 5) == pytest.approx((0.3, 0.3))
