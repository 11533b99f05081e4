# SPDX-License-Identifier: Apache-2.0
import functools

import numpy as np
import pytest
import trials
from trials import assert_remembered, assert_shifted, perform, put, run

from g1_sim import tasks
from g1_sim.experts import Flaws
from g1_sim.tasks.base import Terminal
from g1_sim.tasks.freezer import CLOSED

start = functools.partial(trials.start, 'freezer')


def inside(world):
    low, high = world.scene.facts['inside']
    return (low[0] + 0.07, (low[1] + high[1]) / 2, low[2] + 0.001)


def swing(world, angle):
    world.data.qpos[world.model.joint('door').qposadr[0]] = angle


def test_the_instruction_names_the_item():
    for seed in range(20):
        scene = tasks.get('freezer').scene(seed)
        assert scene.facts['items'][scene.facts['target']].label in scene.instruction
        assert len({item.label for item in scene.facts['items'].values()}) == 2


def test_the_hinge_is_drawn_on_either_side():
    sides = {tasks.get('freezer').scene(seed).facts['door'].side for seed in range(12)}
    assert sides == {0, 1}


def test_the_named_item_behind_the_closed_door_is_a_success():
    world, judge = start()
    put(world, world.scene.facts['target'], inside(world))
    verdict = run(world, judge, 60)
    assert verdict.terminal is Terminal.SUCCESS
    assert (verdict.reward, verdict.subtask_scores) == (1.0, (1.0,))


@pytest.mark.parametrize('angle', [1.5 * CLOSED, 1.3])
def test_an_open_door_is_no_success(angle):
    world, judge = start()
    put(world, world.scene.facts['target'], inside(world))
    swing(world, angle)
    assert run(world, judge, 60).terminal is Terminal.NONE


def test_another_item_or_one_on_the_roof_is_none():
    world, judge = start()
    facts = world.scene.facts
    other = next(name for name in facts['items'] if name != facts['target'])
    put(world, other, inside(world))
    assert run(world, judge, 60).terminal is Terminal.NONE
    x, y, _ = inside(world)
    world, judge = start()
    put(world, facts['target'], (x, y, facts['inside'][1][2] + 0.02))
    assert run(world, judge, 60).terminal is Terminal.NONE


def test_a_fallen_item_is_a_failure():
    world, judge = start()
    put(world, world.scene.facts['target'], (0.3, 0.9, 0.2))
    assert run(world, judge, 120).terminal is Terminal.FAILURE


def test_the_bar_is_where_the_door_says():
    world, _ = start()
    door = world.scene.facts['door']
    for angle in (0.0, 0.7, 1.4):
        swing(world, angle)
        world.refresh()
        bar = world.data.geom('door/bar').xpos
        np.testing.assert_allclose(bar, door.bar(angle), atol=1e-9)


def test_the_judges_memory_travels_with_the_state():
    world, judge = start()
    put(world, world.scene.facts['target'], inside(world))
    run(world, judge, 4)
    assert_remembered(start, world, judge)


def test_deployment_is_shifted():
    """Counters, hinges' friction and items' friction lie outside of what training spans."""
    assert_shifted('freezer', lambda facts: (
        facts['counter'], facts['door'].friction,
        *(item.friction for item in facts['items'].values())))


@pytest.mark.parametrize('distribution', ['train', 'deploy'])
def test_the_expert_does_the_task(distribution):
    """A sample; `make bench NAME=tasks` measures the score."""
    done = sum(
        perform(*start(seed, distribution)).terminal is Terminal.SUCCESS for seed in range(5))
    assert done >= 4


def test_the_expert_goes_on_from_the_middle():
    """With the door half open and its hands at rest, it still does the task."""
    world, judge = start(1)
    swing(world, 0.8)
    assert perform(world, judge).terminal is Terminal.SUCCESS


def test_the_wrong_item_fails():
    assert perform(*start(), Flaws(wrong_item=True)).reward == 0.0
