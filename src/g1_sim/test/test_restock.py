# SPDX-License-Identifier: Apache-2.0
import functools

import numpy as np
import pytest
import trials
from trials import assert_remembered, assert_shifted, perform, put, run

from g1_sim.tasks.base import Terminal

start = functools.partial(trials.start, 'restock')


def on_board(world):
    facts = world.scene.facts
    return (facts['shelf_x'][0] + 0.06, 0.1, facts['board'] + 0.001)


def test_the_instruction_names_the_item_and_its_shelf():
    for seed in range(20):
        world, _ = start(seed)
        facts = world.scene.facts
        item = facts['items'][facts['target']]
        assert item.label in world.scene.instruction
        levels = {'lower', 'upper'} & set(world.scene.instruction.split())
        assert len(levels) == 1


def test_an_item_at_rest_on_its_board_is_a_success():
    world, judge = start()
    put(world, world.scene.facts['target'], on_board(world))
    verdict = run(world, judge, 60)
    assert verdict.terminal is Terminal.SUCCESS
    assert (verdict.reward, verdict.score, verdict.subtask_scores) == (1.0, 1.0, (1.0,))


def test_another_item_on_the_board_is_none():
    world, judge = start()
    facts = world.scene.facts
    other = next(name for name in facts['items'] if name != facts['target'])
    put(world, other, on_board(world))
    assert run(world, judge, 60).terminal is Terminal.NONE


def test_the_wrong_board_is_none():
    for seed in range(10):
        world, judge = start(seed)
        facts = world.scene.facts
        x, y, z = on_board(world)
        wrong = z + 0.2 if 'lower' in world.scene.instruction else z - 0.2
        put(world, facts['target'], (x, y, wrong))
        assert run(world, judge, 60).terminal is Terminal.NONE


def test_a_fallen_item_is_a_failure_and_a_lying_one_no_success():
    world, judge = start()
    put(world, world.scene.facts['target'], (0.3, 0.9, 0.2))
    assert run(world, judge, 120).terminal is Terminal.FAILURE
    world, judge = start()
    x, y, z = on_board(world)
    half = np.sqrt(0.5)
    put(world, world.scene.facts['target'], (x, y, z + 0.05), (half, half, 0, 0))
    assert run(world, judge, 60).terminal is Terminal.NONE


def test_the_judges_memory_travels_with_the_state():
    world, judge = start()
    put(world, world.scene.facts['target'], on_board(world))
    run(world, judge, 4)
    assert_remembered(start, world, judge)


def test_deployment_is_shifted():
    """Counters, sizes and friction lie outside of what training scenes span."""
    def values(facts):
        item = facts['items'][facts['target']]
        return facts['counter'], item.radius, item.friction

    assert_shifted('restock', values)


@pytest.mark.parametrize('distribution', ['train', 'deploy'])
def test_the_expert_does_the_task(distribution):
    """A sample; `make bench NAME=expert` measures the rate."""
    done = 0
    for seed in range(5):
        done += perform(*start(seed, distribution)).terminal is Terminal.SUCCESS
    assert done >= 4
