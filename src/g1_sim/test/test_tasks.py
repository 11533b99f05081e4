# SPDX-License-Identifier: Apache-2.0
"""What holds for every task."""

import string
import sys

import pytest
from trials import run, start

from g1_sim import tasks
from g1_sim.scene import DISTRIBUTIONS
from g1_sim.tasks.base import Terminal

every_task = pytest.mark.parametrize('name', sorted(tasks.TASKS))


def phrases(name):
    """Return the phrases of a task that are drawn, and those that are held out."""
    module = sys.modules[type(tasks.get(name)).__module__]
    return module.PHRASES, module.HELD_OUT_PHRASES


@every_task
def test_held_out_phrases_are_others_that_ask_for_the_same(name):
    drawn, held_out = phrases(name)
    assert len(drawn) >= 4
    assert len(held_out) >= 2
    assert not {text.lower() for text in drawn} & {text.lower() for text in held_out}
    slots = {frozenset(slot for _, slot, _, _ in string.Formatter().parse(text) if slot)
             for text in (*drawn, *held_out)}
    assert len(slots) == 1


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
