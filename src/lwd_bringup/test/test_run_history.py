# SPDX-License-Identifier: Apache-2.0
from dataclasses import asdict

import pytest
from run_helpers import fleet, tell

from lwd_bringup.errors import BringupError
from lwd_bringup.loop import history
from lwd_bringup.loop.audit import Audit
from lwd_bringup.loop.comparison import Result
from lwd_bringup.loop.curve import WINDOW, learning_curve, rate
from lwd_bringup.loop.plan import LoopPlan
from lwd_bringup.loop.run import _summary
from lwd_bringup.loop.state import EpisodeFact
from lwd_rollout.statistics import wilson


def test_a_fact_comes_back_from_json():
    fact = fleet(120.0)
    assert history.fact_of(asdict(fact)) == fact


def test_the_last_line_of_a_start_counts(tmp_path):
    whole = fleet(300.0)
    tell(tmp_path, fleet(60.0), fleet(120.0), whole)
    found = history.read(tmp_path / 'timeline.jsonl')
    assert found.starts == 1
    assert found.fact == whole
    assert found.upward == whole.upward()
    assert found.downward == whole.downward()
    assert found.refusals == []


def test_starts_are_one_after_the_other(tmp_path):
    one, two = fleet(120.0), fleet(60.0, seed=1, first_policy=3)
    tell(tmp_path, fleet(60.0), one)
    tell(tmp_path, two, before=120.0)
    found = history.read(tmp_path / 'timeline.jsonl')
    assert found.starts == 2
    assert found.fact.seconds == 180.0
    assert [each.ended for each in found.fact.episodes] == [
        *(each.ended for each in one.episodes), *(120.0 + each.ended for each in two.episodes)]
    assert found.fact.robots['g1_01'].steps == 30 * 180
    # The newest policy of the first start is offered again in the second: it is one policy.
    assert [policy.number for policy in found.fact.policies] == [1, 2, 3, 4]
    assert found.fact.policies[2].published == one.policies[2].published
    assert found.fact.policies[3].published == 120.0 + two.policies[1].published
    assert found.fact.policies[3].running['g1_02'] == 120.0 + two.policies[1].running['g1_02']
    assert found.downward == one.downward() + two.downward()


def test_a_start_whose_clock_goes_back_is_another_one(tmp_path):
    tell(tmp_path, fleet(120.0))
    tell(tmp_path, fleet(60.0))
    assert history.read(tmp_path / 'timeline.jsonl').starts == 2


def test_lines_that_cannot_be_read_are_counted(tmp_path):
    fact = fleet(60.0)
    tell(tmp_path, fact)
    with (tmp_path / 'timeline.jsonl').open('a') as file:
        file.write('[1]\n{"seconds": 3, "before": 0, "colour": "red"}\n{"seconds": 65.0, "ro')
    found = history.read(tmp_path / 'timeline.jsonl')
    assert (found.starts, found.unreadable) == (1, 3)
    assert found.fact == fact


def test_without_a_timeline_there_is_nothing(tmp_path):
    assert history.read(tmp_path / 'timeline.jsonl').starts == 0
    with pytest.raises(BringupError, match='cannot be read'):
        history.read(tmp_path)


def test_each_refused_policy_is_named_once(tmp_path):
    facts = [fleet(60.0) for _ in range(4)]
    for moment, fact in enumerate(facts):
        fact.seconds = 60.0 + 5 * moment
    for fact in facts[1:]:
        fact.robots['g1_02'].refused = 1
        fact.robots['g1_02'].refusal = 'unknown key'
    facts[3].robots['g1_02'].refused = 2
    facts[3].robots['g1_02'].refusal = 'canary'
    tell(tmp_path, *facts)
    found = history.read(tmp_path / 'timeline.jsonl').refusals
    assert [(each.seconds, each.robot, each.reason) for each in found] == [
        (65.0, 'g1_02', 'unknown key'), (75.0, 'g1_02', 'canary')]


def _episode(number, label):
    return EpisodeFact('g1_01', str(number), 'restock', label, 0.0, [], 0, float(number))


def test_the_learning_curve_is_of_the_newest_episodes():
    episodes = [_episode(number, 'failure') for number in range(WINDOW)]
    episodes += [_episode(WINDOW + number, 'success') for number in range(WINDOW)]
    points = learning_curve(episodes[::-1])
    assert [point.seconds for point in points] == [
        float(number) for number in range(WINDOW // 4 - 1, 2 * WINDOW)]
    assert points[0].rate == 0.0
    assert points[0].episodes == WINDOW // 4
    assert points[-1].rate == 1.0
    middle = points[-1 - WINDOW // 2]
    assert middle.rate == 0.5
    assert (middle.low, middle.high) == wilson(WINDOW // 2, WINDOW)


def test_what_was_taken_over_is_no_success_of_a_policy_alone():
    episodes = [_episode(number, 'success') for number in range(WINDOW)]
    for each in episodes[:5]:
        each.interventions = 1
    assert rate(episodes).value == 1.0
    assert rate(episodes, alone=True).successes == WINDOW - 5
    assert learning_curve(episodes)[-1].rate == 1.0
    assert learning_curve(episodes, alone=True)[-1].rate == 1.0 - 5 / WINDOW


def test_discarded_episodes_do_not_count():
    found = rate([_episode(0, 'success'), _episode(1, 'discard'), _episode(2, 'timeout')])
    assert (found.successes, found.episodes, found.value) == (1, 2, 0.5)
    assert learning_curve([_episode(number, 'discard') for number in range(30)]) == []


def test_the_summary_is_of_all_starts(tmp_path):
    one, two = fleet(120.0), fleet(60.0, seed=1, first_policy=3)
    tell(tmp_path, one)
    tell(tmp_path, two, before=120.0)
    results = [Result('restock', seed, True, 1.0, 5.0) for seed in range(4)]
    found = _summary(
        LoopPlan(), history.read(tmp_path / 'timeline.jsonl'), results, results,
        Audit(registered=7, waiting=['e/1'], lost=['e/2', 'e/3']))
    assert found['episodes'] == len(one.episodes) + len(two.episodes)
    assert found['control_steps'] == 2 * 30 * 180
    assert found['policies'] == 4
    assert [found[f'segments_{kind}'] for kind in (
        'registered', 'waiting', 'lost', 'doubled')] == [7, 1, 2, 0]
    assert found['swaps'] == {'g1_01': 3, 'g1_02': 3}
    assert found['first_swap_s'] == min(one.policies[1].running.values())
