# SPDX-License-Identifier: Apache-2.0
import functools

import numpy as np
import pytest
import trials
from trials import assert_remembered, assert_shifted, perform, put, run

from g1_sim import tasks
from g1_sim.tasks.base import Terminal

start = functools.partial(trials.start, 'correct')


def home(world, name='stray'):
    bay = world.scene.facts['bays'][name]
    return bay.spot(0.0) + np.array([0, 0, 0.001])


def test_the_instruction_names_the_item_that_stands_astray():
    for seed in range(20):
        world, _ = start(seed)
        facts = world.scene.facts
        stray = facts['items'][facts['target']]
        assert stray.label in world.scene.instruction
        astray = [name for name, bay in facts['bays'].items() if not bay.holds(world, name)]
        assert astray == [facts['target']]


def test_others_of_its_kind_show_where_it_belongs():
    for seed in range(20):
        facts = tasks.get('correct').scene(seed).facts
        looks = {item.label for item in facts['items'].values()}
        for name, item in facts['items'].items():
            kind = [other for other in facts['items'].values() if other.label == item.label]
            assert {facts['bays'][other.name] for other in kind} == {facts['bays'][name]}
            assert len(kind) >= 2
        assert len(looks) >= 2


def test_an_item_at_rest_with_its_kind_is_a_success():
    world, judge = start()
    put(world, 'stray', home(world))
    verdict = run(world, judge, 60)
    assert verdict.terminal is Terminal.SUCCESS
    assert (verdict.reward, verdict.score, verdict.subtask_scores) == (1.0, 1.0, (1.0,))


def test_another_bay_is_none():
    for seed in range(6):
        world, judge = start(seed)
        wrong = world.scene.facts['wrong_bay']
        put(world, 'stray', wrong.spot(0.0) + np.array([0, 0, 0.001]))
        assert run(world, judge, 60).terminal is Terminal.NONE


@pytest.mark.parametrize('where', ['out', 'over'])
def test_another_item_moved_or_knocked_over_spoils_it(where):
    world, judge = start()
    put(world, 'stray', home(world))
    x, y, z = home(world)
    half = np.sqrt(0.5)
    if where == 'out':
        put(world, 'item00', (0.63, 0.3, world.scene.facts['counter'] + 0.001))
    else:
        put(world, 'item00', (x + 0.12, y, z + 0.05), (half, half, 0, 0))
    verdict = run(world, judge, 60)
    assert (verdict.terminal, verdict.score) == (Terminal.NONE, 0.0)


def test_an_item_in_the_air_over_its_bay_or_held_is_none(monkeypatch):
    world, judge = start()
    put(world, 'stray', home(world) + np.array([0, 0, 0.08]))
    assert judge.update().score == 0.0
    world, judge = start()
    put(world, 'stray', home(world))
    monkeypatch.setattr(world, 'touched_by_robot', lambda name: name == 'stray')
    assert run(world, judge, 60).terminal is Terminal.NONE


def test_a_fallen_item_is_a_failure_whichever_it_is():
    for name in ('stray', 'item00'):
        world, judge = start()
        put(world, name, (0.3, 0.9, 0.2))
        assert run(world, judge, 120).terminal is Terminal.FAILURE


def test_the_judges_memory_travels_with_the_state():
    world, judge = start()
    put(world, 'stray', home(world))
    run(world, judge, 4)
    assert_remembered(start, world, judge)


def test_deployment_is_shifted():
    """Counters, boards, sizes and friction lie outside of what training scenes span."""
    def values(facts):
        stray = facts['items']['stray']
        gap = abs(facts['bays']['stray'].height - facts['wrong_bay'].height)
        return facts['counter'], stray.radius, stray.friction, gap

    assert_shifted('correct', values)


@pytest.mark.parametrize('distribution', ['train', 'deploy'])
def test_the_expert_does_the_task(distribution):
    done = 0
    for seed in range(5):
        done += perform(*start(seed, distribution)).terminal is Terminal.SUCCESS
    assert done >= 4


def test_the_expert_takes_over_with_the_item_in_hand():
    world, judge = start(1)
    before = world.body_position('stray')
    perform(world, judge, until=lambda _: np.linalg.norm(
        world.body_position('stray') - before) > 0.06)
    assert world.touched_by_robot('stray')
    assert perform(world, judge).terminal is Terminal.SUCCESS
