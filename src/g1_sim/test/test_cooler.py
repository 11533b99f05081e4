# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from g1_sim import tasks
from g1_sim.experts import Flaws, expert_for
from g1_sim.parts.container import OpenBox
from g1_sim.tasks.base import Terminal
from g1_sim.tasks.cooler import HELD_OUT_PHRASES, PHRASES
from g1_sim.world import World


def start(seed=0, distribution='train'):
    task = tasks.get('cooler')
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


def inside(world):
    return np.array(world.scene.facts['cooler'].centre) + np.array([0, 0, 0.001])


def test_a_box_knows_points_in_its_own_frame():
    box = OpenBox((1.0, 2.0, 0.5), np.pi / 2, (0.2, 0.1), 0.08)
    np.testing.assert_allclose(box.local(np.array([1.0, 2.15, 0.6])), [0.15, 0.0, 0.1], atol=1e-9)
    assert box.distance(np.array([1.0, 2.15])) == 0.0
    assert box.distance(np.array([1.15, 2.0])) == pytest.approx(0.15 - 0.1, abs=0.01)
    assert box.rim == pytest.approx(0.58)


def test_the_instruction_names_a_carton_that_no_other_item_looks_like():
    for seed in range(20):
        facts = tasks.get('cooler').scene(seed).facts
        carton = facts['items'][facts['target']]
        instruction = tasks.get('cooler').scene(seed).instruction
        assert carton.kind == 'carton'
        assert instruction in {phrase.format(item=carton.label) for phrase in PHRASES}
        assert instruction not in {phrase.format(item=carton.label) for phrase in HELD_OUT_PHRASES}
        assert [item.label for item in facts['items'].values()].count(carton.label) == 1


def test_scenes_differ_in_where_and_how_large_the_cooler_is():
    boxes = [tasks.get('cooler').scene(seed).facts['cooler'] for seed in range(30)]
    across = [box.centre[1] for box in boxes]
    assert min(across) < -0.2
    assert max(across) > 0.2
    assert any(abs(y) < 0.06 for y in across)
    assert len({box.half for box in boxes}) == 30


def test_the_carton_at_rest_in_the_cooler_is_a_success():
    world, judge = start()
    put(world, world.scene.facts['target'], inside(world))
    verdict = run(world, judge, 60)
    assert verdict.terminal is Terminal.SUCCESS
    assert (verdict.reward, verdict.score, verdict.subtask_scores) == (1.0, 1.0, (1.0,))


def test_another_item_in_the_cooler_is_none():
    world, judge = start()
    facts = world.scene.facts
    put(world, next(name for name in facts['items'] if name != facts['target']), inside(world))
    assert run(world, judge, 60).terminal is Terminal.NONE


def test_beside_on_the_rim_or_held_is_none(monkeypatch):
    world, judge = start()
    facts = world.scene.facts
    box = facts['cooler']
    height = facts['items'][facts['target']].height
    assert not box.holds(world, facts['target'], height)
    assert run(world, judge, 30).terminal is Terminal.NONE
    for x, y in (box.outline[0], box.centre[:2]):
        put(world, facts['target'], (x, y, box.rim + 0.001))
        assert not box.holds(world, facts['target'], height)
    put(world, facts['target'], inside(world))
    monkeypatch.setattr(world, 'touched_by_robot', lambda name: True)
    assert run(world, judge, 60).terminal is Terminal.NONE


def test_the_walls_hold_the_carton_in():
    world, judge = start()
    facts = world.scene.facts
    put(world, facts['target'], inside(world))
    joint = world.model.joint(facts['target']).dofadr[0]
    for _ in range(30):
        world.data.qvel[joint:joint + 2] = (0.3, 0.0)
        world.advance(8)
        world.refresh()
    item = facts['items'][facts['target']]
    moved = facts['cooler'].local(world.body_position(item.name))
    assert np.all(np.abs(moved[:2]) < np.array(facts['cooler'].half))
    assert not judge.update().terminal


def test_a_carton_on_the_floor_is_a_failure():
    world, judge = start()
    put(world, world.scene.facts['target'], (0.3, 0.9, 0.2))
    assert run(world, judge, 120).terminal is Terminal.FAILURE


def test_an_episode_times_out_without_reward():
    world, judge = start()
    task = tasks.get('cooler')
    verdict = run(world, judge, round(30 * task.time_limit) + 1)
    assert verdict.terminal is Terminal.TIMEOUT
    assert world.time == pytest.approx(task.time_limit, abs=1 / 30)
    assert verdict.reward == 0.0


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
    """Counters, rims, cartons and friction lie outside of what training scenes span."""
    def spans(distribution):
        values = []
        for seed in range(40):
            facts = tasks.get('cooler').scene(seed, distribution).facts
            carton = facts['items'][facts['target']]
            values.append((facts['counter'], facts['cooler'].depth, min(facts['cooler'].half),
                           carton.radius, carton.height, carton.friction))
        return np.min(values, axis=0), np.max(values, axis=0)

    (low, high), (shifted_low, shifted_high) = spans('train'), spans('deploy')
    assert np.all((shifted_low < low) | (shifted_high > high))


def episode(world, judge, expert):
    verdict = judge.update()
    while not verdict.terminal:
        world.set_targets(expert.act())
        world.advance(8)
        world.refresh()
        verdict = judge.update()
    return verdict


@pytest.mark.parametrize('distribution', ['train', 'deploy'])
def test_the_expert_does_the_task(distribution):
    done = 0
    for seed in range(5):
        world, judge = start(seed, distribution)
        done += episode(world, judge, expert_for(world)).terminal is Terminal.SUCCESS
    assert done >= 4


def test_the_expert_takes_over_with_the_carton_in_hand():
    world, judge = start()
    target = world.scene.facts['target']
    expert = expert_for(world)
    height = world.body_position(target)[2] + 0.06
    while world.body_position(target)[2] < height and not judge.update().terminal:
        world.set_targets(expert.act())
        world.advance(8)
        world.refresh()
    assert world.touched_by_robot(target)
    assert episode(world, judge, expert_for(world)).terminal is Terminal.SUCCESS


def test_an_expert_that_puts_it_down_beside_the_cooler_fails():
    world, judge = start()
    flawed = expert_for(world, Flaws(place_offset=(0.0, 0.2)))
    assert episode(world, judge, flawed).terminal is not Terminal.SUCCESS
