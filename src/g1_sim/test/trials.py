# SPDX-License-Identifier: Apache-2.0
"""What the tests of every task do: start a scene, put things somewhere, let time pass."""

from __future__ import annotations

import numpy as np

from g1_sim import tasks
from g1_sim.experts import expert_for
from g1_sim.world import World

UPRIGHT = (1.0, 0.0, 0.0, 0.0)


def start(task, seed=0, distribution='train'):
    """Return the world of a seed and its judge."""
    found = tasks.get(task)
    world = World(found.scene(seed, distribution))
    return world, found.judge(world)


def put(world, name, position, quaternion=UPRIGHT):
    """Place a free body at rest."""
    address = world.model.joint(name).qposadr[0]
    world.data.qpos[address:address + 7] = [*position, *quaternion]
    velocity = world.model.joint(name).dofadr[0]
    world.data.qvel[velocity:velocity + 6] = 0


def over(place, height):
    """Return a place, (3,) m, higher by so many m."""
    return place + np.array([0.0, 0.0, height])


def turned(yaw):
    """Return the quaternion of a thing that stands, turned by rad."""
    return (np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2))


def run(world, judge, steps, hold=None):
    """Let control steps pass until the end; `hold`: name to position and quaternion to keep."""
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


def perform(world, judge, flaws=None, *, until=lambda verdict: False, after=lambda: None):
    """Let the task's expert act until the end, or until `until` says so of a verdict.

    `after` is called after every control step.
    """
    expert = expert_for(world, flaws)
    verdict = judge.update()
    while not verdict.terminal and not until(verdict):
        world.set_targets(expert.act())
        world.advance(8)
        world.refresh()
        verdict = judge.update()
        after()
    return verdict


def take_over(world, judge, name):
    """Let an expert lift a thing, then another one begin; returns the second one's verdict.

    Asserts that the second one first puts the thing down, upright, wherever it was held.
    """
    height = world.body_position(name)[2] + 0.035
    perform(world, judge, until=lambda _: world.body_position(name)[2] > height)
    assert world.touched_by_robot(name)
    lean, down = [], []

    def watch():
        if not down:
            lean.append(world.body_rotation(name)[2, 2])
        if not world.touched_by_robot(name):
            down.append(world.body_position(name)[2])

    verdict = perform(world, judge, after=watch)
    assert min(lean) > 0.9
    assert down[0] < height - 0.02
    return verdict


def assert_remembered(start, world, judge, steps=40):
    """Assert that another world and judge, given their state and memory, come to the same."""
    state, memory = world.state(), judge.memory()
    again, other = start()
    again.restore(state)
    other.recall(memory)
    assert run(world, judge, steps) == run(again, other, steps)
    np.testing.assert_array_equal(judge.memory(), other.memory())


def assert_shifted(task, values, seeds=40):
    """Assert that deployment draws values, of a scene's facts, from outside training's spans."""
    def spans(distribution):
        found = [values(tasks.get(task).scene(seed, distribution).facts)
                 for seed in range(seeds)]
        return np.min(found, axis=0), np.max(found, axis=0)

    (low, high), (shifted_low, shifted_high) = spans('train'), spans('deploy')
    assert np.all((shifted_low < low) | (shifted_high > high))
