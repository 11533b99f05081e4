# SPDX-License-Identifier: Apache-2.0
import functools

import numpy as np
import pytest
import trials
from trials import assert_remembered, assert_shifted, perform, put, run

from g1_sim import tasks
from g1_sim.experts import Flaws
from g1_sim.parts.container import OpenBox
from g1_sim.tasks.base import Terminal

start = functools.partial(trials.start, 'cooler')


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
        scene = tasks.get('cooler').scene(seed)
        facts = scene.facts
        carton = facts['items'][facts['target']]
        assert carton.kind == 'carton'
        assert carton.label in scene.instruction
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
    body = world.model.body(facts['target'])
    force = 1.3 * 9.81 * body.subtreemass
    # Pushed near its base, lest it tips over the rim.
    arm = 0.02 - facts['items'][facts['target']].height / 2
    for x, y in ((1, 0), (0, 1), (-1, 0), (0, -1)):
        world.data.xfrc_applied[body.id] = force * np.array([x, y, 0, -arm * y, arm * x, 0])
        world.advance(240)
    world.refresh()
    item = facts['items'][facts['target']]
    moved = facts['cooler'].local(world.body_position(item.name))
    assert np.all(np.abs(moved[:2]) < np.array(facts['cooler'].half))
    assert not judge.update().terminal


def test_a_carton_on_the_floor_is_a_failure():
    world, judge = start()
    put(world, world.scene.facts['target'], (0.3, 0.9, 0.2))
    assert run(world, judge, 120).terminal is Terminal.FAILURE


def test_the_judges_memory_travels_with_the_state():
    world, judge = start()
    put(world, world.scene.facts['target'], inside(world))
    run(world, judge, 4)
    assert_remembered(start, world, judge)


def test_deployment_is_shifted():
    """Counters, rims, cartons and friction lie outside of what training scenes span."""
    def values(facts):
        carton, box = facts['items'][facts['target']], facts['cooler']
        return (facts['counter'], box.depth, min(box.half), carton.radius, carton.height,
                carton.friction)

    assert_shifted('cooler', values)


@pytest.mark.parametrize('distribution', ['train', 'deploy'])
def test_the_expert_does_the_task(distribution):
    done = 0
    for seed in range(5):
        done += perform(*start(seed, distribution)).terminal is Terminal.SUCCESS
    assert done >= 4


def test_the_expert_takes_over_with_the_carton_in_hand():
    world, judge = start()
    target = world.scene.facts['target']
    height = world.body_position(target)[2] + 0.06
    perform(world, judge, until=lambda _: world.body_position(target)[2] > height)
    assert world.touched_by_robot(target)
    assert perform(world, judge).terminal is Terminal.SUCCESS


def test_an_expert_that_puts_it_down_beside_the_cooler_fails():
    flaws = Flaws(place_offset=(0.0, 0.2))
    assert perform(*start(), flaws).terminal is not Terminal.SUCCESS
