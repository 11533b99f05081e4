"""What the scripted operator sees, and when control is handed back."""

import numpy as np
import pytest

from g1_description.joints import GRIPPER_INDICES
from g1_sim import tasks
from g1_sim.errors import SceneError
from g1_sim.experts import expert_for
from g1_sim.experts.flaws import Flaws
from g1_sim.operator import RATE, Operator, OperatorConfig, Reason
from g1_sim.world import World


def begin(task, seed=3, **config):
    world = World(tasks.get(task).scene(seed))
    return world, tasks.get(task).judge(world), Operator(world, OperatorConfig(**config))


def step(world, command):
    world.set_targets(command)
    world.advance(round(1.0 / RATE / world.model.opt.timestep))


def watch(world, judge, operator, command, seconds):
    """Let a command stand; returns when the operator took over, s, or None."""
    for _ in range(round(seconds * RATE)):
        step(world, command)
        if operator.watch(judge.update()) is not None:
            return world.time
    return None


def missing_grasp(seed):
    """Let the expert's hands shut just before they reach anything; returns when, and what came."""
    world, judge, operator = begin('restock', seed, patience=100.0)
    expert, shut, last = expert_for(world), None, None
    while not (verdict := judge.update()).terminal:
        if operator.watch(verdict) is not None:
            return shut, world.time, operator.reason
        command = expert.act()
        reached = min(np.linalg.norm(world.hand_position(side) - world.body_position(name))
                      for side in (0, 1) for name in world.bodies)
        if shut is None and reached < 0.14:
            shut = world.time
        if shut is not None:
            command = last.copy()
            command[GRIPPER_INDICES] = 1.0
        last = command
        step(world, command)
    return shut, None, operator.reason


@pytest.mark.parametrize('seed', [0, 3])
def test_a_hand_that_closed_before_an_item_is_seen_long_before_the_policy_is_stuck(seed):
    shut, taken, reason = missing_grasp(seed)
    # The grippers need a quarter of a second until they count as closed.
    assert 0.7 < taken - shut < 1.6
    assert reason is Reason.STUCK


def run_with(flaws, seed):
    """Let a flawed expert work; returns the verdict, and why and at which tilt he took over."""
    world, judge, operator = begin('restock', seed)
    expert, taken = expert_for(world, flaws), []
    tilt = 0.0
    while not (verdict := judge.update()).terminal:
        corrected = operator.watch(verdict)
        if operator.interventions > len(taken):
            taken.append((operator.reason, tilt))
        step(world, expert.act() if corrected is None else corrected)
        upright = world.body_rotation(world.scene.facts['target'])[2, 2]
        tilt = max(tilt, float(np.arccos(min(upright, 1.0))))
    return verdict, taken


@pytest.mark.parametrize('seed', [0, 1, 2, 3])
@pytest.mark.parametrize('off', [-0.045, 0.045])
def test_a_finger_that_is_about_to_knock_over_an_item_is_foreseen_in_time(seed, off):
    verdict, taken = run_with(Flaws(grasp_offset=(off, 0.0, 0.0)), seed)
    reason, tilt = taken[0]
    assert reason is Reason.UNSAFE
    assert tilt < np.radians(30.0)
    assert verdict.reward == 1.0


def test_a_fist_away_from_all_items_is_no_grasp():
    world, judge, operator = begin('restock', patience=100.0)
    command = world.positions()[:16].copy()
    command[GRIPPER_INDICES] = 1.0
    assert watch(world, judge, operator, command, 3.0) is None


def test_open_hands_miss_nothing():
    world, judge, operator = begin('restock', patience=100.0)
    assert watch(world, judge, operator, world.positions()[:16], 3.0) is None


def test_who_moves_on_without_touching_anything_is_stuck_after_twice_the_patience():
    world, judge, operator = begin('restock', patience=1.0, reaction=0.1)
    home = world.positions()[:16].copy()
    for tick in range(6 * RATE):
        swung = home.copy()
        swung[0] += 0.3 * np.sin(tick / 5.0)
        step(world, swung)
        if operator.watch(judge.update()) is not None:
            break
    assert world.time == pytest.approx(2.1, abs=0.2)


# Juice twice: its fruit falls before or after the score rises.
@pytest.mark.parametrize(('task', 'seed'), [*((task, 3) for task in tasks.TASKS), ('juice', 4)])
def test_an_expert_at_work_is_left_alone(task, seed):
    world, judge, operator = begin(task, seed)
    expert = expert_for(world)
    while not (verdict := judge.update()).terminal:
        assert operator.watch(verdict) is None, f'{operator.reason.name} at {world.time:.1f} s'
        step(world, expert.act())
    assert verdict.reward == 1.0


def test_what_is_done_is_kept_in_hand_until_the_episode_ends():
    """The judge asks for a moment of rest; a policy that gets control within it may undo all."""
    world, judge, operator = begin('cooler', patience=0.2, reaction=0.0, budget=1.0)
    home, mine = world.positions()[:16].copy(), 0
    while not (verdict := judge.update()).terminal:
        corrected = operator.watch(verdict)
        mine += corrected is not None
        if verdict.score == 1.0:
            assert corrected is not None
        step(world, home if corrected is None else corrected)
    assert verdict.reward == 1.0
    assert mine > 0


@pytest.mark.parametrize('name', ['reaction', 'patience', 'empty', 'longest'])
def test_negative_times_are_refused(name):
    with pytest.raises(SceneError, match=f'operator.{name} is -1'):
        OperatorConfig(**{name: -1.0})
