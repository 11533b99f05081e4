# SPDX-License-Identifier: Apache-2.0
"""What holds for every task."""

import re
import string

import numpy as np
import pytest
from trials import run, start

from g1_sim import tasks
from g1_sim.experts import STEPS, Expert, draw_flaws, expert_for
from g1_sim.scene import DISTRIBUTIONS
from g1_sim.tasks.base import Terminal
from g1_sim.world import World

every_task = pytest.mark.parametrize('name', sorted(tasks.TASKS))


@every_task
def test_held_out_phrases_are_others_that_ask_for_the_same(name):
    train, held_out = tasks.get(name).phrases.train, tasks.get(name).phrases.held_out
    assert len(train) >= 4
    assert len(held_out) >= 2
    assert not {text.lower() for text in train} & {text.lower() for text in held_out}
    slots = {frozenset(slot for _, slot, _, _ in string.Formatter().parse(text) if slot)
             for text in (*train, *held_out)}
    assert len(slots) == 1


def pattern(phrase):
    """Return what matches a phrase, whatever its slots are filled with."""
    return re.sub(r'\\\{\w+\\\}', '.+', re.escape(phrase))


@every_task
def test_only_the_instruction_differs_with_held_out_phrases(name):
    task = tasks.get(name)
    for seed in range(6):
        usual, other = task.scene(seed), task.scene(seed, phrasing='held_out')
        for scene, known in ((usual, task.phrases.train), (other, task.phrases.held_out)):
            assert any(re.fullmatch(pattern(text), scene.instruction) for text in known)
        assert World(usual).state().tobytes() == World(other).state().tobytes()
        assert usual.spec.to_xml() == other.spec.to_xml()
    said = {task.scene(seed, phrasing='held_out').instruction for seed in range(20)}
    for text in task.phrases.held_out:
        assert any(re.fullmatch(pattern(text), instruction) for instruction in said)


@every_task
def test_flaws_may_leave_out_any_step_of_a_script(name, monkeypatch):
    counts = []

    def counting(self, *steps):
        counts.append(len(steps))
        yield

    monkeypatch.setattr(Expert, 'steps', counting)
    world, _ = start(name)
    expert = expert_for(world)
    while not counts and not expert.finished and world.time < 2.0:
        world.set_targets(expert.act())
        world.advance(8)
        world.refresh()
    flaws = [draw_flaws(world, np.random.default_rng(seed), 1.0) for seed in range(400)]
    if counts:
        assert {flaw.skip for flaw in flaws} == set(range(-1, counts[0]))
        assert {flaw.swap for flaw in flaws} == set(range(-1, counts[0] - 1))
    else:
        assert name not in STEPS


@every_task
@pytest.mark.parametrize('distribution', DISTRIBUTIONS)
def test_a_scene_starts_at_rest_with_the_hands_free(name, distribution):
    for seed in range(5):
        world, judge = start(name, seed, distribution)
        assert not judge.update().terminal
        for body in world.bodies:
            assert world.resting(body), (seed, body)
            assert not world.touched_by_robot(body), (seed, body)
            assert world.body_position(body)[2] > 0.3, (seed, body)


@every_task
def test_an_episode_times_out_without_reward(name):
    world, judge = start(name)
    limit = tasks.get(name).time_limit
    world.data.time = limit - 0.5
    verdict = run(world, judge, 20)
    assert (verdict.terminal, verdict.reward) == (Terminal.TIMEOUT, 0.0)
    assert world.time == pytest.approx(limit, abs=1 / 30)
    assert f'{limit:g} s' in verdict.detail


def looks(name, seed, distribution):
    """Return where the cameras are and look in their links, (cameras, 7)."""
    model = World(tasks.get(name).scene(seed, distribution)).model
    return np.hstack([model.cam_pos, model.cam_quat])


@every_task
def test_cameras_have_moved_a_little_in_deployment(name):
    trained = looks(name, 0, 'train')
    assert np.array_equal(trained, looks(name, 1, 'train'))
    moved = np.array([looks(name, seed, 'deploy') - trained for seed in range(4)])
    assert np.all(np.any(moved != 0.0, axis=2))
    assert np.max(np.abs(moved[..., :3])) < 0.02
    # Half the angle each: within 5 degrees.
    assert np.max(np.abs(moved[..., 3:])) < np.radians(2.5)
    assert np.array_equal(looks(name, 3, 'deploy') - trained, moved[3])
