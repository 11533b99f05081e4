# SPDX-License-Identifier: Apache-2.0
import functools

import numpy as np
import pytest
import trials
from trials import assert_shifted, over, perform, put, run, take_over

from g1_sim import tasks
from g1_sim.parts.vessel import mouth
from g1_sim.tasks.base import Terminal
from g1_sim.tasks.tea import COASTERS, LEAVES

start = functools.partial(trials.start, 'tea')

SIDEWAYS = (np.sqrt(0.5), 0.0, np.sqrt(0.5), 0.0)


def open_pot(world, judge):
    facts = world.scene.facts
    put(world, 'lid', over(facts['mat'], 0.001))
    return run(world, judge, 20)


def close_pot(world, judge):
    pot = world.scene.facts['pot']
    put(world, 'lid', over(world.scene.facts['lid'].seat(pot.rim), 0.001))
    return run(world, judge, 20)


def tilt(world, judge, name, target, steps):
    """Hold a vessel on its side with its mouth over a spot, then stand it up where it was."""
    home = world.body_position(name).copy()
    x, y, z = target
    for _ in range(steps):
        put(world, name, (x - world.scene.facts[name].height, y, z + 0.06), SIDEWAYS)
        verdict = judge.update()
    put(world, name, home)
    return verdict


def leaves(world, judge, steps=25, aside=0.0):
    pot = world.scene.facts['pot']
    return tilt(world, judge, 'caddy', pot.rim + np.array([0, aside, 0]), steps)


def pour(world, judge, steps=25):
    return tilt(world, judge, 'pitcher', mouth(world, world.scene.facts['cup']), steps)


def serve(world, judge, aside=0.0):
    facts = world.scene.facts
    put(world, 'cup', facts['tray'] + [0, aside * facts['layout'].sign, 0.001])
    return run(world, judge, 60)


def test_the_instruction_names_the_leaves_and_the_coaster_as_they_are():
    said = set()
    for seed in range(30):
        scene = tasks.get('tea').scene(seed)
        caddy = scene.facts['caddy'].content
        leaf = next(name for name, rgba in LEAVES.items() if rgba == caddy)
        coaster = scene.spec.geom('coaster').rgba
        colour = next(name for name, rgba in COASTERS.items() if np.allclose(rgba, coaster))
        assert leaf in scene.instruction
        assert f'{colour} coaster' in scene.instruction
        said.add(scene.instruction.split()[0])
    assert len(said) >= 3


def test_all_subtasks_in_order_are_a_success():
    world, judge = start()
    assert open_pot(world, judge).subtask_scores[:2] == (1.0, 0.0)
    assert leaves(world, judge).score == pytest.approx(2 / 5)
    assert close_pot(world, judge).score == pytest.approx(3 / 5)
    assert pour(world, judge).score == pytest.approx(4 / 5)
    verdict = serve(world, judge)
    assert verdict.terminal is Terminal.SUCCESS
    assert (verdict.reward, verdict.score) == (1.0, 1.0)


def test_a_cup_poured_before_the_pot_is_closed_earns_nothing():
    world, judge = start()
    open_pot(world, judge)
    leaves(world, judge)
    assert pour(world, judge).subtask_scores == (1.0, 1.0, 0.0, 0.0, 0.0)
    assert close_pot(world, judge).subtask_scores == (1.0, 1.0, 1.0, 0.0, 0.0)


def test_leaves_beside_the_pot_earn_nothing():
    world, judge = start()
    open_pot(world, judge)
    assert leaves(world, judge, aside=0.09).subtask_scores[1] == 0.0
    assert leaves(world, judge).subtask_scores[1] == 1.0


def test_leaves_on_a_closed_pot_earn_nothing():
    world, judge = start()
    open_pot(world, judge)
    close_pot(world, judge)
    assert leaves(world, judge).subtask_scores == (1.0, 0.0, 0.0, 0.0, 0.0)


def test_half_done_is_half_scored():
    world, judge = start()
    facts = world.scene.facts
    put(world, 'lid', over(facts['pot'].rim, 0.05))
    assert judge.update().subtask_scores[0] == 0.5
    open_pot(world, judge)
    assert leaves(world, judge, 15).subtask_scores[1] == 0.5
    assert leaves(world, judge, 10).subtask_scores[1] == 1.0
    close_pot(world, judge)
    assert pour(world, judge, 15).subtask_scores[3] == 0.5
    assert pour(world, judge, 10).subtask_scores[3] == 1.0


def test_a_lid_taken_off_again_loses_its_score():
    world, judge = start()
    open_pot(world, judge)
    leaves(world, judge)
    assert close_pot(world, judge).subtask_scores[2] == 1.0
    assert open_pot(world, judge).subtask_scores[2] == 0.0


def test_a_cup_off_the_coaster_is_not_served():
    world, judge = start()
    open_pot(world, judge)
    leaves(world, judge)
    close_pot(world, judge)
    pour(world, judge)
    verdict = serve(world, judge, aside=0.09)
    assert (verdict.terminal, verdict.subtask_scores[4]) == (Terminal.NONE, 0.5)


def test_what_falls_to_the_floor_is_a_failure():
    for name in ('lid', 'pitcher', 'cup', 'caddy'):
        world, judge = start()
        put(world, name, (0.2, 1.2, 0.2))
        verdict = run(world, judge, 5)
        assert verdict.terminal is Terminal.FAILURE
        assert name in verdict.detail


def test_the_judges_memory_travels_with_the_state():
    world, judge = start()
    open_pot(world, judge)
    leaves(world, judge)
    close_pot(world, judge)
    pour(world, judge, 15)
    again, other = start()
    again.restore(world.state())
    other.recall(judge.memory())
    assert other.update() == judge.update()
    # Fifteen of the pouring's steps are remembered: ten more are enough.
    assert pour(again, other, 10).subtask_scores[3] == 1.0


def test_deployment_is_shifted():
    """Counters, friction, pots and pitchers lie outside of what training scenes span."""
    assert_shifted('tea', lambda facts: (
        facts['layout'].top, facts['friction'], facts['pot'].height, facts['pitcher'].radius))


@pytest.mark.parametrize('distribution', ['train', 'deploy'])
def test_the_expert_does_the_task(distribution):
    """A sample; `make bench NAME=tasks` measures the score."""
    scores = []
    for seed in range(2):
        world, judge = start(seed, distribution)
        scores.append(perform(world, judge).score)
        assert 600 <= 30 * world.time <= 1800
    assert np.mean(scores) >= 0.9


@pytest.mark.parametrize('name', ['caddy', 'pitcher', 'cup'])
def test_whoever_takes_over_with_something_in_hand_puts_it_down_and_goes_on(name):
    assert take_over(*start(), name).terminal is Terminal.SUCCESS
