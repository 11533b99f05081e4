# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from g1_driver.safety.blend import Blend, BlendLimits
from g1_driver.safety.profile import StepLimits, brake, longest_step, track


def stopping_distance(step, u):
    total = 0.0
    while step > 0:
        total += step
        step = max(step - u, 0.0)
    return total


@given(st.floats(0.0, 3.0), st.floats(1e-4, 0.1))
def test_the_longest_step_stops_exactly_at_the_distance(distance, u):
    step = longest_step(np.array([distance]), np.array([u]))[0]
    assert stopping_distance(step, u) == pytest.approx(distance, abs=1e-9)


def limits(velocity=0.06, acceleration=0.01):
    return StepLimits(
        np.array([-1.0]), np.array([1.0]), np.array([velocity]), np.array([acceleration]))


def test_a_target_within_the_limits_is_met_tick_by_tick():
    """No lag: what the learner reads as the action is what happened."""
    bounds = limits()
    times = np.arange(200) / 30
    targets = 0.3 * (1 - np.cos(2.0 * times))
    position, step, last = np.zeros(1), np.zeros(1), np.zeros(1)
    for target in targets:
        tracked = track(position, step, np.array([target]), target - last, bounds)
        position, step, last = position + tracked.step, tracked.step, np.array([target])
        assert position[0] == pytest.approx(target, abs=1e-9)
        assert not tracked.velocity_clipped.any()
        assert not tracked.acceleration_clipped.any()


@pytest.mark.parametrize('goal', [0.5, -0.9, 1.0])
def test_a_leap_is_followed_without_overshoot(goal):
    bounds = limits()
    position, step, seen = np.zeros(1), np.zeros(1), []
    for _ in range(120):
        tracked = track(position, step, np.array([goal]), np.zeros(1), bounds)
        position, step = position + tracked.step, tracked.step
        seen.append(position[0])
    assert seen[-1] == pytest.approx(goal, abs=1e-9)
    assert max(abs(value) for value in seen) <= abs(goal) + 1e-9


@given(st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=80), st.floats(0.003, 0.05))
def test_no_sequence_of_targets_leads_out_of_the_limits(targets, acceleration):
    bounds = limits(acceleration=acceleration)
    position, step, last = np.zeros(1), np.zeros(1), np.zeros(1)
    for value in targets:
        target = np.array([value])
        tracked = track(position, step, target, target - last, bounds)
        assert abs(tracked.step[0]) <= 0.06 + 1e-9
        assert abs(tracked.step[0] - step[0]) <= acceleration + 1e-9
        position, step, last = position + tracked.step, tracked.step, target
        assert -1.0 - 1e-9 <= position[0] <= 1.0 + 1e-9


def test_braking_ends_at_rest():
    step = np.array([0.05, -0.033, 0.0])
    for _ in range(6):
        step = brake(step, np.full(3, 0.01))
    np.testing.assert_array_equal(step, 0.0)


@given(st.floats(-2.0, 2.0), st.floats(-1.0, 1.0))
def test_a_blend_keeps_its_limits(offset, velocity):
    bounds = BlendLimits(np.array([1.0]), np.array([4.0]), np.array([20.0]))
    blend = Blend(np.array([offset]), np.array([velocity]), bounds)
    times = np.linspace(0.0, blend.duration, 2001)
    path = np.array([blend.at(time)[0] for time in times])
    assert path[0] == pytest.approx(offset, abs=1e-12)
    assert blend.at(blend.duration)[0] == 0.0
    dt = times[1]
    speed = np.diff(path) / dt
    assert np.max(np.abs(speed)) <= max(1.0, abs(velocity)) + 0.01
    assert np.max(np.abs(np.diff(speed) / dt)) <= 4.0 + 0.05
    # Third differences of the interior; their rounding noise grows with 1 / dt^3.
    jerk = np.diff(path[::20], 3) / (20 * dt)**3
    assert np.max(np.abs(jerk)) <= 20.0 + 0.5
