# SPDX-License-Identifier: Apache-2.0
import functools

import numpy as np
import pytest
import trials
from trials import assert_remembered, assert_shifted, perform, put, run, turned

from g1_sim import tasks
from g1_sim.experts import Flaws
from g1_sim.parts.carton import OPEN
from g1_sim.tasks.base import Terminal
from g1_sim.tasks.shoebox import CLOSED, SIDES

start = functools.partial(trials.start, 'shoebox')


def pack(world, side, row):
    x, y, z = world.body_position('box')
    put(world, f'{SIDES[side]}_shoe', (x + row, y, z + 0.008),
        turned((2 * side - 1) * np.pi / 2))


def close(world):
    world.data.qpos[world.model.joint('lid').qposadr[0]] = 0.0


def skip_taking(judge, *scores):
    """Let the judge believe that these subtasks are done: taking needs a hand."""
    judge.recall(np.array([*scores, *np.zeros(6 - len(scores)), 0.0]))


def test_the_instruction_names_the_colour_and_the_first_shoe():
    firsts = set()
    for seed in range(20):
        scene = tasks.get('shoebox').scene(seed)
        first = SIDES[scene.facts['first']]
        assert first in scene.instruction
        assert SIDES[1 - scene.facts['first']] not in scene.instruction
        firsts.add(first)
    assert firsts == set(SIDES)


def test_the_lid_stands_open_until_it_is_closed():
    world, _ = start()
    world.advance(240)
    assert world.joint_position('lid') == pytest.approx(OPEN, abs=0.02)
    close(world)
    world.advance(240)
    assert abs(world.joint_position('lid')) < CLOSED


def test_the_shoes_fit_into_the_box_and_the_lid_closes_over_them():
    for seed in range(5):
        for distribution in ('train', 'deploy'):
            facts = tasks.get('shoebox').scene(seed, distribution).facts
            box, shoe = facts['box'], facts['shoes'][0]
            assert shoe.length < 2 * box.half_y
            assert shoe.height + 0.006 < box.height


def test_all_done_is_a_success():
    world, judge = start()
    first = world.scene.facts['first']
    x, y = world.scene.facts['mark']
    put(world, 'box', (x, y, world.scene.facts['counter'] + 0.001))
    pack(world, first, 0.048)
    pack(world, 1 - first, -0.048)
    close(world)
    skip_taking(judge, 1.0, 0.0, 1.0)
    verdict = run(world, judge, 60)
    assert verdict.terminal is Terminal.SUCCESS
    assert verdict.subtask_scores == (1.0,) * 6


def test_packing_without_order_earns_nothing():
    """The second shoe in the box, the lid closed, the box on its mark, but no first shoe."""
    world, judge = start()
    x, y = world.scene.facts['mark']
    put(world, 'box', (x, y, world.scene.facts['counter'] + 0.001))
    pack(world, 1 - world.scene.facts['first'], 0.048)
    close(world)
    verdict = run(world, judge, 60)
    assert (verdict.terminal, verdict.score) == (Terminal.NONE, 0.0)


def test_a_half_closed_lid_and_a_box_half_way_count_half():
    world, judge = start()
    facts = world.scene.facts
    pack(world, 0, 0.048)
    pack(world, 1, -0.048)
    skip_taking(judge, 1.0, 0.0, 1.0)
    world.data.qpos[world.model.joint('lid').qposadr[0]] = 0.4
    world.refresh()
    assert judge.update().subtask_scores == (1.0, 1.0, 1.0, 1.0, 0.5, 0.0)
    far = 0.6 * (facts['mark'] - facts['start'])
    put(world, 'box', (*(facts['start'] + far), facts['counter'] + 0.001))
    pack(world, 0, 0.048)
    pack(world, 1, -0.048)
    close(world)
    world.refresh()
    assert judge.update().subtask_scores == (1.0, 1.0, 1.0, 1.0, 1.0, 0.5)


def test_a_shoe_taken_out_again_loses_its_score():
    world, judge = start()
    first = world.scene.facts['first']
    pack(world, first, 0.048)
    skip_taking(judge, 1.0)
    assert run(world, judge, 20).subtask_scores[:2] == (1.0, 1.0)
    put(world, f'{SIDES[first]}_shoe', (0.62, 0.35, world.scene.facts['counter'] + 0.001))
    assert run(world, judge, 5).subtask_scores[:2] == (1.0, 0.0)


def test_a_fallen_shoe_is_a_failure():
    world, judge = start()
    put(world, 'left_shoe', (0.3, 0.9, 0.2))
    verdict = run(world, judge, 120)
    assert (verdict.terminal, verdict.detail) == (
        Terminal.FAILURE, 'the left shoe fell to the floor')


def test_the_judges_memory_travels_with_the_state():
    world, judge = start()
    perform(world, judge, until=lambda verdict: verdict.subtask_scores[1] == 1.0)
    assert_remembered(start, world, judge)
    assert judge.memory()[:2].tolist() == [1.0, 1.0]


def test_deployment_is_shifted():
    """Counters, the weight of the box and friction lie outside of what training spans."""
    assert_shifted('shoebox', lambda facts: (
        facts['counter'], facts['box'].mass, facts['box'].friction,
        facts['shoes'][0].friction))


@pytest.mark.parametrize('distribution', ['train', 'deploy'])
def test_the_expert_does_the_task(distribution):
    """A sample; `make bench NAME=tasks` measures the score."""
    scores = [perform(*start(seed, distribution)).score for seed in range(5)]
    assert np.mean(scores) >= 0.9


def test_the_wrong_shoe_first_costs_points():
    wrong = perform(*start(1), Flaws(wrong_item=True))
    assert wrong.terminal is not Terminal.SUCCESS
    assert wrong.score < 0.5
