# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from g1_sim import tasks
from g1_sim.experts import Flaws, expert_for
from g1_sim.parts.carton import OPEN
from g1_sim.tasks.base import Terminal
from g1_sim.tasks.shoebox import CLOSED, HELD_OUT_PHRASES, PHRASES, SIDES
from g1_sim.world import World


def start(seed=0, distribution='train'):
    task = tasks.get('shoebox')
    world = World(task.scene(seed, distribution))
    return world, task.judge(world)


def put(world, name, position, yaw=0.0):
    address = world.model.joint(name).qposadr[0]
    world.data.qpos[address:address + 7] = [
        *position, np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]
    velocity = world.model.joint(name).dofadr[0]
    world.data.qvel[velocity:velocity + 6] = 0


def pack(world, side, row):
    x, y, z = world.body_position('box')
    put(world, f'{SIDES[side]}_shoe', (x + row, y, z + 0.008), (2 * side - 1) * np.pi / 2)


def close(world):
    world.data.qpos[world.model.joint('lid').qposadr[0]] = 0.0


def run(world, judge, steps):
    verdict = judge.update()
    for _ in range(steps):
        if verdict.terminal:
            break
        world.advance(8)
        world.refresh()
        verdict = judge.update()
    return verdict


def perform(world, judge, flaws=None, until=lambda verdict: False):
    expert = expert_for(world, flaws)
    verdict = judge.update()
    while not verdict.terminal and not until(verdict):
        world.set_targets(expert.act())
        world.advance(8)
        world.refresh()
        verdict = judge.update()
    return verdict


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
    assert not set(PHRASES) & set(HELD_OUT_PHRASES)


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


def test_an_episode_times_out_without_reward():
    world, judge = start()
    task = tasks.get('shoebox')
    verdict = run(world, judge, round(30 * task.time_limit) + 1)
    assert verdict.terminal is Terminal.TIMEOUT
    assert world.time == pytest.approx(task.time_limit, abs=1 / 30)
    assert verdict.reward == 0.0


def test_the_judges_memory_travels_with_the_state():
    world, judge = start()
    perform(world, judge, until=lambda verdict: verdict.subtask_scores[1] == 1.0)
    state, memory = world.state(), judge.memory()
    again, other = start()
    again.restore(state)
    other.recall(memory)
    assert run(world, judge, 40) == run(again, other, 40)
    assert judge.memory()[:2].tolist() == [1.0, 1.0]
    np.testing.assert_array_equal(judge.memory(), other.memory())


def test_deployment_is_shifted():
    """Counters, the weight of the box and friction lie outside of what training spans."""
    def spans(distribution):
        values = []
        for seed in range(30):
            facts = tasks.get('shoebox').scene(seed, distribution).facts
            values.append((facts['counter'], facts['box'].mass, facts['box'].friction,
                           facts['shoes'][0].friction))
        return np.min(values, axis=0), np.max(values, axis=0)

    (low, high), (shifted_low, shifted_high) = spans('train'), spans('deploy')
    assert np.all((shifted_low < low) | (shifted_high > high))


@pytest.mark.parametrize('distribution', ['train', 'deploy'])
def test_the_expert_does_the_task(distribution):
    """A sample; `make bench NAME=expert` measures the rate."""
    scores = [perform(*start(seed, distribution)).score for seed in range(5)]
    assert np.mean(scores) >= 0.9


def test_the_wrong_shoe_first_costs_points():
    wrong = perform(*start(1), Flaws(wrong_item=True))
    assert wrong.terminal is not Terminal.SUCCESS
    assert wrong.score < 0.5
