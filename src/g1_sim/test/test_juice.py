# SPDX-License-Identifier: Apache-2.0
import functools

import numpy as np
import pytest
import trials
from trials import assert_shifted, over, perform, put, run, take_over

from g1_sim.parts.button import BUTTON_TRAVEL
from g1_sim.parts.vessel import mouth
from g1_sim.tasks.base import Terminal

start = functools.partial(trials.start, 'juice')

SIDEWAYS = (np.sqrt(0.5), 0.0, np.sqrt(0.5), 0.0)


def open_pot(world, judge):
    facts = world.scene.facts
    put(world, 'lid', over(facts['mat'], 0.001))
    return run(world, judge, 20)


def fill(world, judge, which):
    facts = world.scene.facts
    pot, fruit = facts['pot'], facts['fruits'][which]
    aside = 0.03 if which == 0 else -0.03
    put(world, fruit.name, (pot.centre[0], pot.centre[1] + aside, pot.floor + 0.04))
    return run(world, judge, 20)


def close_pot(world, judge):
    pot = world.scene.facts['pot']
    put(world, 'lid', over(world.scene.facts['lid'].seat(pot.rim), 0.001))
    return run(world, judge, 20)


def press(world, judge, part=1.0):
    address = world.model.joint('button').qposadr[0]
    world.data.qpos[address] = -part * BUTTON_TRAVEL
    return judge.update()


def pour(world, judge, steps):
    """Hold the jug on its side with its mouth over the glass."""
    facts = world.scene.facts
    lip = over(mouth(world, facts['cup']), 0.06)
    for _ in range(steps):
        put(world, 'jug', lip - [facts['jug'].height, 0, 0], SIDEWAYS)
        verdict = judge.update()
    put(world, 'jug', over(facts['mat'], 0.001))
    return verdict


def serve(world, judge):
    put(world, 'glass', over(world.scene.facts['tray'], 0.001))
    return run(world, judge, 60)


def test_the_instruction_names_the_fruits_in_order_and_the_tray():
    said = set()
    for seed in range(30):
        world, _ = start(seed)
        text, fruits = world.scene.instruction, world.scene.facts['fruits']
        assert text.index(fruits[0].label) < text.index(fruits[1].label)
        assert 'tray' in text
        said.add(text.split()[0])
    assert len(said) >= 3


def test_all_subtasks_in_order_are_a_success():
    world, judge = start()
    assert open_pot(world, judge).subtask_scores[:2] == (1.0, 0.0)
    assert fill(world, judge, 0).score == pytest.approx(2 / 7)
    assert fill(world, judge, 1).score == pytest.approx(3 / 7)
    assert close_pot(world, judge).score == pytest.approx(4 / 7)
    assert press(world, judge).score == pytest.approx(5 / 7)
    assert pour(world, judge, 25).score == pytest.approx(6 / 7)
    verdict = serve(world, judge)
    assert verdict.terminal is Terminal.SUCCESS
    assert (verdict.reward, verdict.score) == (1.0, 1.0)


def test_the_second_fruit_first_earns_nothing_until_the_first_is_in():
    world, judge = start()
    open_pot(world, judge)
    assert fill(world, judge, 1).subtask_scores == (1.0, *[0.0] * 6)
    assert fill(world, judge, 0).subtask_scores == (1.0, 1.0, 1.0, *[0.0] * 4)


def test_half_done_is_half_scored():
    world, judge = start()
    facts = world.scene.facts
    put(world, 'lid', over(facts['pot'].rim, 0.05))
    assert judge.update().subtask_scores[0] == 0.5
    open_pot(world, judge)
    fill(world, judge, 0)
    fill(world, judge, 1)
    close_pot(world, judge)
    assert press(world, judge, 0.6).subtask_scores[4] == 0.5
    assert press(world, judge, 0.1).subtask_scores[4] == 0.5
    press(world, judge)
    assert pour(world, judge, 15).subtask_scores[5] == 0.5
    assert pour(world, judge, 10).subtask_scores[5] == 1.0


def test_a_lid_taken_off_again_loses_its_score():
    world, judge = start()
    open_pot(world, judge)
    fill(world, judge, 0)
    fill(world, judge, 1)
    assert close_pot(world, judge).subtask_scores[3] == 1.0
    assert open_pot(world, judge).subtask_scores[3] == 0.0


def test_a_glass_off_the_tray_is_not_served():
    world, judge = start()
    open_pot(world, judge)
    fill(world, judge, 0)
    fill(world, judge, 1)
    close_pot(world, judge)
    press(world, judge)
    pour(world, judge, 25)
    layout = world.scene.facts['layout']
    put(world, 'glass', world.scene.facts['tray'] + [0, 0.09 * layout.sign, 0.001])
    verdict = run(world, judge, 40)
    assert (verdict.terminal, verdict.subtask_scores[6]) == (Terminal.NONE, 0.5)


def test_what_falls_to_the_floor_is_a_failure():
    for name in ('lid', 'jug', 'glass', 'fruit0'):
        world, judge = start()
        put(world, name, (0.2, 1.2, 0.2))
        verdict = run(world, judge, 5)
        assert verdict.terminal is Terminal.FAILURE
        assert name in verdict.detail


def test_the_judges_memory_travels_with_the_state():
    world, judge = start()
    open_pot(world, judge)
    fill(world, judge, 0)
    fill(world, judge, 1)
    close_pot(world, judge)
    press(world, judge)
    pour(world, judge, 15)
    again, other = start()
    again.restore(world.state())
    other.recall(judge.memory())
    assert other.update() == judge.update()
    # Fifteen of the pouring's steps are remembered: ten more are enough.
    assert pour(again, other, 10).subtask_scores[5] == 1.0


def test_deployment_is_shifted():
    """Counters, friction, fruits and pots lie outside of what training scenes span."""
    assert_shifted('juice', lambda facts: (
        facts['layout'].top, facts['friction'], facts['pot'].height,
        *(fruit.radius for fruit in facts['fruits'])))


@pytest.mark.parametrize('distribution', ['train', 'deploy'])
def test_the_expert_does_the_task(distribution):
    """A sample; `make bench NAME=tasks` measures the score."""
    scores = []
    for seed in range(2):
        world, judge = start(seed, distribution)
        scores.append(perform(world, judge).score)
        assert 600 <= 30 * world.time <= 1800
    assert np.mean(scores) >= 0.9


@pytest.mark.parametrize('name', ['fruit0', 'jug'])
def test_whoever_takes_over_with_something_in_hand_puts_it_down_and_goes_on(name):
    assert take_over(*start(), name).terminal is Terminal.SUCCESS
