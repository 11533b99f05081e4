# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from g1_sim import tasks
from g1_sim.experts import expert_for
from g1_sim.tasks.base import Terminal
from g1_sim.world import World


def start(seed=0, distribution='train'):
    task = tasks.get('restock')
    world = World(task.scene(seed, distribution))
    return world, task.judge(world)


def put(world, name, position, quaternion=(1, 0, 0, 0)):
    address = world.model.joint(name).qposadr[0]
    world.data.qpos[address:address + 7] = [*position, *quaternion]
    velocity = world.model.joint(name).dofadr[0]
    world.data.qvel[velocity:velocity + 6] = 0


def run(world, judge, steps):
    verdict = judge.update()
    for _ in range(steps):
        if verdict.terminal:
            break
        world.advance(8)
        world.refresh()
        verdict = judge.update()
    return verdict


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


def test_an_episode_times_out_without_reward():
    world, judge = start()
    task = tasks.get('restock')
    verdict = run(world, judge, round(30 * task.time_limit) + 1)
    assert verdict.terminal is Terminal.TIMEOUT
    assert world.time == pytest.approx(task.time_limit, abs=1 / 30)
    assert verdict.reward == 0.0


def test_the_judges_memory_travels_with_the_state():
    world, judge = start()
    put(world, world.scene.facts['target'], on_board(world))
    run(world, judge, 4)
    state, memory = world.state(), judge.memory()
    again, other = start()
    again.restore(state)
    other.recall(memory)
    assert run(world, judge, 40) == run(again, other, 40)
    np.testing.assert_array_equal(judge.memory(), other.memory())


def test_deployment_is_shifted():
    """Counters, sizes and friction lie outside of what training scenes span."""
    def spans(distribution):
        counters, radii, friction = [], [], []
        for seed in range(40):
            facts = tasks.get('restock').scene(seed, distribution).facts
            counters.append(facts['counter'])
            radii += [item.radius for item in facts['items'].values()]
            friction += [item.friction for item in facts['items'].values()]
        return [(min(values), max(values)) for values in (counters, radii, friction)]

    for (low, high), (shifted_low, shifted_high) in zip(spans('train'), spans('deploy')):
        assert shifted_low < low or shifted_high > high


@pytest.mark.parametrize('distribution', ['train', 'deploy'])
def test_the_expert_does_the_task(distribution):
    """A sample; `make bench NAME=expert` measures the rate."""
    done = 0
    for seed in range(5):
        world, judge = start(seed, distribution)
        expert = expert_for(world)
        verdict = judge.update()
        while not verdict.terminal:
            world.set_targets(expert.act())
            world.advance(8)
            world.refresh()
            verdict = judge.update()
        done += verdict.terminal is Terminal.SUCCESS
    assert done >= 4
