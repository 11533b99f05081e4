# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from g1_sim import tasks
from g1_sim.experts import expert_for
from g1_sim.parts.vessel import pours
from g1_sim.tasks.base import Terminal
from g1_sim.tasks.cocktail_judge import SHAKE_TRAVEL, closed, hands_on
from g1_sim.world import World

UP = np.array([0.0, 0.0, 1.0])
UPRIGHT = (1.0, 0.0, 0.0, 0.0)
# Turned by 80 degrees about x: what stood up points to -y.
TILTED = (np.cos(np.radians(40)), np.sin(np.radians(40)), 0.0, 0.0)


def start(seed=0, distribution='train'):
    task = tasks.get('cocktail')
    world = World(task.scene(seed, distribution))
    return world, task.judge(world)


def put(world, name, position, quaternion=UPRIGHT):
    address = world.model.joint(name).qposadr[0]
    world.data.qpos[address:address + 7] = [*position, *quaternion]
    velocity = world.model.joint(name).dofadr[0]
    world.data.qvel[velocity:velocity + 6] = 0


def run(world, judge, steps, hold=None):
    """Run, with bodies held where `hold` says: name to position and quaternion."""
    verdict = judge.update()
    for _ in range(steps):
        if verdict.terminal:
            break
        for name, pose in (hold or {}).items():
            put(world, name, *pose)
        world.advance(8)
        for name, pose in (hold or {}).items():
            put(world, name, *pose)
        world.refresh()
        verdict = judge.update()
    return verdict


def pouring_pose(world, height, into):
    """Return where a vessel of a height pours into another."""
    vessel = world.scene.facts[into]
    rim = world.body_position(into) + vessel.height * UP
    up = np.array([0.0, -np.sin(np.radians(80)), np.cos(np.radians(80))])
    return rim + 0.05 * UP - height * up, TILTED


def place_cup(world, judge):
    facts = world.scene.facts
    put(world, 'cup', (*facts['work'], facts['counter'] + 0.001))
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
    rim = np.array([0.6, 0.0, 0.8])
    sideways = np.array([0.0, -1.0, 0.0])
    assert pours(rim + 0.04 * UP, sideways, rim, 0.03)
    assert not pours(rim + 0.04 * UP, UP, rim, 0.03)
    assert not pours(rim + 0.04 * UP - 0.04 * sideways, sideways, rim, 0.03)
    assert not pours(rim - 0.02 * UP, sideways, rim, 0.03)


def test_a_dropped_glass_is_a_failure():
    world, judge = start()
    put(world, 'glass', (0.3, 0.9, 0.2))
    assert run(world, judge, 120).terminal is Terminal.FAILURE


def test_an_episode_times_out():
    world, judge = start()
    world.data.time = tasks.get('cocktail').time_limit - 0.1
    verdict = run(world, judge, 10)
    assert (verdict.terminal, verdict.reward) == (Terminal.TIMEOUT, 0.0)


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
    def spans(distribution):
        facts = [tasks.get('cocktail').scene(seed, distribution).facts for seed in range(40)]
        return [(min(values), max(values)) for values in (
            [f['cup'].radius for f in facts], [f['friction'] for f in facts],
            [f['counter'] for f in facts],
            [f['cup'].radius - f['cup'].wall - f['lid'].plug for f in facts])]

    for (low, high), (shifted_low, shifted_high) in zip(spans('train'), spans('deploy')):
        assert shifted_low < low or shifted_high > high


@pytest.mark.parametrize('distribution', ['train', 'deploy'])
def test_the_expert_does_the_task(distribution):
    """A sample; `make bench NAME=expert` measures the rate."""
    scores, both = [], 0
    for seed in range(2):
        world, judge = start(seed, distribution)
        expert = expert_for(world)
        shaken = 0.0
        verdict = judge.update()
        while not verdict.terminal:
            world.set_targets(expert.act())
            world.advance(8)
            world.refresh()
            verdict = judge.update()
            both += hands_on(world, 'glass') == {'l', 'r'}
            shaken += closed(world) and world.body_position('cup')[2] > 0.75
        assert shaken > 30 * SHAKE_TRAVEL
        scores.append(verdict.score)
    assert np.mean(scores) >= 0.9
    assert both > 5
