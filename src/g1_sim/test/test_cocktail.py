# SPDX-License-Identifier: Apache-2.0
import functools

import numpy as np
import pytest
import trials
from trials import UPRIGHT, assert_shifted, over, perform, put, run, take_over

from g1_sim.parts.vessel import pours
from g1_sim.tasks.base import Terminal
from g1_sim.tasks.cocktail_judge import SHAKE_TRAVEL, closed, hands_on

start = functools.partial(trials.start, 'cocktail')

UP = np.array([0.0, 0.0, 1.0])
# Turned by 80 degrees about x: what stood up points to -y.
TILTED = (np.cos(np.radians(40)), np.sin(np.radians(40)), 0.0, 0.0)


def pouring_pose(world, height, into):
    """Return where a vessel of a height pours into another."""
    vessel = world.scene.facts[into]
    rim = world.body_position(into) + vessel.height * UP
    up = np.array([0.0, -np.sin(np.radians(80)), np.cos(np.radians(80))])
    return rim + 0.05 * UP - height * up, TILTED


def place_cup(world, judge):
    facts = world.scene.facts
    put(world, 'cup', over(facts['work'], 0.001))
    return run(world, judge, 15)


def pour_bottle(world, judge, name, steps=30):
    facts = world.scene.facts
    run(world, judge, steps,
        {name: pouring_pose(world, facts['bottles'][name].height, 'cup')})
    put(world, name, facts['homes'][name] + 0.001 * UP)
    return run(world, judge, 15)


def fitted(world):
    facts = world.scene.facts
    return world.body_position('cup') + (
        facts['cup'].height - facts['lid'].depth + 0.001) * UP


def test_the_instruction_names_the_two_bottles_in_order():
    for seed in range(20):
        world, _ = start(seed)
        facts = world.scene.facts
        first, second = (facts['bottles'][name].colour for name in facts['order'])
        text = world.scene.instruction
        assert 0 <= text.index(first) < text.index(second)
        third = next(b.colour for n, b in facts['bottles'].items() if n not in facts['order'])
        assert third not in text


def test_steps_in_order_earn_their_scores():
    world, judge = start()
    first, second = world.scene.facts['order']
    assert place_cup(world, judge).subtask_scores[:2] == (1.0, 0.0)
    assert pour_bottle(world, judge, first).subtask_scores[:3] == (1.0, 1.0, 0.0)
    assert pour_bottle(world, judge, second).subtask_scores[:4] == (1.0, 1.0, 1.0, 0.0)
    put(world, 'lid', fitted(world))
    assert run(world, judge, 15).subtask_scores[:5] == (1.0, 1.0, 1.0, 1.0, 0.0)
    assert closed(world)


def test_a_short_pour_earns_nothing_and_a_bottle_in_the_air_half():
    world, judge = start()
    first, _ = world.scene.facts['order']
    place_cup(world, judge)
    assert pour_bottle(world, judge, first, steps=10).subtask_scores[1] == 0.0
    pose = pouring_pose(world, world.scene.facts['bottles'][first].height, 'cup')
    assert run(world, judge, 30, {first: pose}).subtask_scores[1] == 0.5


def test_the_second_bottle_first_earns_nothing():
    world, judge = start()
    _, second = world.scene.facts['order']
    place_cup(world, judge)
    verdict = pour_bottle(world, judge, second)
    assert verdict.terminal is Terminal.NONE
    assert verdict.subtask_scores[1:3] == (0.0, 0.0)


def test_the_wrong_bottle_is_a_failure():
    world, judge = start()
    facts = world.scene.facts
    place_cup(world, judge)
    wrong = next(name for name in facts['bottles'] if name not in facts['order'])
    assert pour_bottle(world, judge, wrong).terminal is Terminal.FAILURE


def test_pouring_wants_the_mouth_over_the_vessel_and_a_tilt():
    world, _ = start()
    bottle = next(iter(world.scene.facts['bottles'].values()))
    rim = np.array([0.6, 0.0, 0.8])
    # Of a bottle on its side, its mouth to -y, above the rim.
    for offset, orientation, expected in (
            (0.04 * UP, TILTED, True), (0.04 * UP, UPRIGHT, False), (-0.02 * UP, TILTED, False),
            (0.04 * UP + [0.0, 0.04, 0.0], TILTED, False), (0.20 * UP, TILTED, False)):
        put(world, bottle.name, (0, 0, 0), orientation)
        at = rim + offset - bottle.height * world.body_rotation(bottle.name)[:, 2]
        put(world, bottle.name, at, orientation)
        assert pours(world, bottle, rim, 0.03) is expected


def test_a_dropped_glass_is_a_failure():
    world, judge = start()
    put(world, 'glass', (0.3, 0.9, 0.2))
    assert run(world, judge, 120).terminal is Terminal.FAILURE


def test_the_judges_memory_travels_with_the_state():
    world, judge = start()
    first, _ = world.scene.facts['order']
    place_cup(world, judge)
    pose = pouring_pose(world, world.scene.facts['bottles'][first].height, 'cup')
    run(world, judge, 12, {first: pose})
    state, memory = world.state(), judge.memory()
    again, other = start()
    again.restore(state)
    other.recall(memory)
    np.testing.assert_array_equal(memory, other.memory())
    # 12 steps before and 12 after are enough together only if the first are remembered.
    assert run(again, other, 12, {first: pose}).subtask_scores[1] == 0.5
    assert run(world, judge, 12, {first: pose}).subtask_scores[1] == 0.5


def test_deployment_is_shifted():
    assert_shifted('cocktail', lambda facts: (
        facts['cup'].radius, facts['friction'], facts['counter'],
        facts['cup'].radius - facts['cup'].wall - facts['lid'].plug))


@pytest.mark.parametrize('distribution', ['train', 'deploy'])
def test_the_expert_does_the_task(distribution):
    """A sample; `make bench NAME=tasks` measures the score."""
    scores = []
    for seed in range(2):
        world, judge = start(seed, distribution)
        handed = shaken = 0

        def watch(world=world):
            nonlocal handed, shaken
            handed += hands_on(world, 'glass') == {'l', 'r'}
            shaken += closed(world) and world.body_position('cup')[2] > 0.75

        scores.append(perform(world, judge, after=watch).score)
        assert shaken > 30 * SHAKE_TRAVEL
        assert handed > 5
        assert 600 <= 30 * world.time <= 1800
    assert np.mean(scores) >= 0.9


def test_whoever_takes_over_with_a_bottle_in_hand_puts_it_back_and_goes_on():
    world, judge = start()
    assert take_over(world, judge, world.scene.facts['order'][0]).terminal is Terminal.SUCCESS
