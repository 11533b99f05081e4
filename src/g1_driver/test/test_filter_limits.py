# SPDX-License-Identifier: Apache-2.0
"""Whatever comes in, no limit is passed: properties of the safety filter."""

import numpy as np
import pytest
from filtering import CONFIG, PERIOD, PROXIMITY, READY, TICK_NS, make
from hypothesis import given, settings
from hypothesis import strategies as st

from g1_description import joints as j
from g1_driver.commands import Command
from g1_driver.errors import ConfigurationError


def velocity_limits():
    limit = np.full(16, CONFIG.arm_velocity)
    limit[j.GRIPPER_INDICES] = CONFIG.gripper_velocity
    return limit


def acceleration_limits():
    limit = np.full(16, CONFIG.arm_acceleration)
    limit[j.GRIPPER_INDICES] = CONFIG.gripper_acceleration
    return limit


class Watch:
    """Checks every limit on a sequence of outputs, knowing nothing of how they were made."""

    def __init__(self, start):
        self.before = self.last = start
        lower, upper = j.limits(j.COMMAND_JOINTS)
        lower[j.ARM_INDICES] += CONFIG.position_margin
        upper[j.ARM_INDICES] -= CONFIG.position_margin
        self.lower, self.upper = np.minimum(lower, start), np.maximum(upper, start)
        self.start_margin = min(0.0, PROXIMITY.clearance(start).worst)

    def see(self, executed):
        positions = executed.positions
        assert np.all(np.isfinite(positions))
        assert np.all(positions >= self.lower - 1e-9)
        assert np.all(positions <= self.upper + 1e-9)
        velocity = (positions - self.last) / PERIOD
        assert np.all(np.abs(velocity) <= velocity_limits() + 1e-6)
        acceleration = (positions - 2 * self.last + self.before) / PERIOD**2
        assert np.all(np.abs(acceleration) <= acceleration_limits() + 1e-5)
        assert PROXIMITY.clearance(positions).worst >= self.start_margin - 1e-9
        self.before, self.last = self.last, positions


hostile = st.one_of(
    st.none(),
    st.lists(st.floats(-4, 4), min_size=16, max_size=16),
    st.lists(st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.floats(-4, 4)),
             min_size=0, max_size=20),
)
ages = st.one_of(st.just(0.0), st.floats(-1.0, 2.0))
events = st.one_of(st.just(''), st.just(''), st.just(''), st.sampled_from(
    ['estop', 'release', 'fault', 'shuffle', 'repeat', 'repeat', 'repeat']))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(hostile, ages, events, st.integers(1, 12)), min_size=1, max_size=12))
def test_no_sequence_of_inputs_leads_past_a_limit(inputs):
    safety, watch, now = make(), Watch(READY), 10**12
    for values, age, event, repeats in inputs:
        names = j.COMMAND_NAMES
        if event == 'estop':
            safety.estop('test')
        elif event == 'release' and safety.moving:
            with pytest.raises(ConfigurationError, match='still braking'):
                safety.release(safety.position)
        elif event == 'release':
            safety.release(safety.position)
        elif event == 'fault':
            safety.fault('test')
        elif event == 'shuffle':
            names = names[::-1]
        for _ in range(repeats):
            now += TICK_NS
            command = None if values is None else Command(
                np.array(values), now - round(age * 1e9), names)
            watch.see(safety.step(command, now_ns=now))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_wild_arms_neither_meet_each_other_nor_the_table(seed):
    rng = np.random.default_rng(seed)
    lower, upper = j.limits(j.COMMAND_JOINTS)
    safety, watch, now = make(), Watch(READY), 10**12
    for _ in range(15):
        goal = rng.uniform(lower, upper)
        for _ in range(int(rng.integers(1, 25))):
            now += TICK_NS
            watch.see(safety.step(Command(goal, now), now_ns=now))
