# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from g1_sim import tasks
from g1_sim.experts import Flaws, expert_for
from g1_sim.tasks.base import Terminal
from g1_sim.tasks.freezer import CLOSED, HELD_OUT_PHRASES, PHRASES
from g1_sim.world import World


def start(seed=0, distribution='train'):
    task = tasks.get('freezer')
    world = World(task.scene(seed, distribution))
    return world, task.judge(world)


def put(world, name, position, quaternion=(1, 0, 0, 0)):
    address = world.model.joint(name).qposadr[0]
    world.data.qpos[address:address + 7] = [*position, *quaternion]
    velocity = world.model.joint(name).dofadr[0]
    world.data.qvel[velocity:velocity + 6] = 0


def inside(world):
    low, high = world.scene.facts['inside']
    return (low[0] + 0.07, (low[1] + high[1]) / 2, low[2] + 0.001)


def swing(world, angle):
    world.data.qpos[world.model.joint('door').qposadr[0]] = angle


def run(world, judge, steps):
    verdict = judge.update()
    for _ in range(steps):
        if verdict.terminal:
            break
        world.advance(8)
        world.refresh()
        verdict = judge.update()
    return verdict


def perform(world, judge, flaws=None):
    expert = expert_for(world, flaws)
    verdict = judge.update()
    while not verdict.terminal:
        world.set_targets(expert.act())
        world.advance(8)
        world.refresh()
        verdict = judge.update()
    return verdict


def test_the_instruction_names_the_item():
    for seed in range(20):
        scene = tasks.get('freezer').scene(seed)
        assert scene.facts['items'][scene.facts['target']].label in scene.instruction
        assert len({item.label for item in scene.facts['items'].values()}) == 2
    assert not set(PHRASES) & set(HELD_OUT_PHRASES)


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


def test_an_episode_times_out_without_reward():
    world, judge = start()
    task = tasks.get('freezer')
    verdict = run(world, judge, round(30 * task.time_limit) + 1)
    assert verdict.terminal is Terminal.TIMEOUT
    assert world.time == pytest.approx(task.time_limit, abs=1 / 30)
    assert verdict.reward == 0.0


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
    state, memory = world.state(), judge.memory()
    again, other = start()
    again.restore(state)
    other.recall(memory)
    assert run(world, judge, 40) == run(again, other, 40)
    np.testing.assert_array_equal(judge.memory(), other.memory())


def test_deployment_is_shifted():
    """Counters, hinges' friction and items' friction lie outside of what training spans."""
    def spans(distribution):
        counters, doors, friction = [], [], []
        for seed in range(40):
            facts = tasks.get('freezer').scene(seed, distribution).facts
            counters.append(facts['counter'])
            doors.append(facts['door'].friction)
            friction += [item.friction for item in facts['items'].values()]
        return [(min(values), max(values)) for values in (counters, doors, friction)]

    for (low, high), (shifted_low, shifted_high) in zip(spans('train'), spans('deploy')):
        assert shifted_low < low or shifted_high > high


@pytest.mark.parametrize('distribution', ['train', 'deploy'])
def test_the_expert_does_the_task(distribution):
    """A sample; `make bench NAME=expert` measures the rate."""
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
