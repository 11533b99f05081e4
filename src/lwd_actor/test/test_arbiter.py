# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from g1_description.joints import ARM_INDICES, COMMAND_NAMES, HOME
from g1_driver.safety.config import SafetyConfig
from lwd_actor.arbiter import PATIENCE, Arbiter, TickInfo
from lwd_actor.errors import ProposalError
from lwd_actor.proposal import Proposal, Seen, Source
from lwd_msgs.msg import ControlStep

SAFETY = SafetyConfig()
PERIOD = 1 / 30


class Loop:
    """Ticks of a robot that does as it is told."""

    def __init__(self):
        self.changes = []
        self.arbiter = Arbiter(on_change=lambda *change: self.changes.append(change))
        self.tick, self.reset_count, self.command = 0, 0, HOME.copy()

    def step(self, *, policy=None, teleop=None, silent=False, estopped=False, command='known'):
        """One tick; `teleop` None is an operator not in control, `silent` one not there."""
        if policy is not None:
            self.arbiter.propose(Proposal(
                self.tick, Source.POLICY, policy, Seen(self.tick * 7, {'head': self.tick}),
                'abc', 5, self.tick))
        if not silent:
            self.arbiter.propose(Proposal(self.tick, Source.TELEOP, teleop))
        decision = self.arbiter.decide(
            TickInfo(self.tick, self.reset_count, Seen(self.tick * 9)),
            command=self.command if isinstance(command, str) else command, estopped=estopped)
        self.tick += 1
        if decision.positions is not None:
            self.command = decision.positions
        return decision


def test_the_values_are_those_of_the_message():
    assert {item.name: item.value for item in Source} == {
        name.removeprefix('SOURCE_'): getattr(ControlStep, name)
        for name in dir(ControlStep) if name.startswith('SOURCE_')}


def test_the_order_is_emergency_stop_operator_policy_hold():
    loop = Loop()
    policy, teleop = HOME + 0.01, HOME + 0.02
    assert loop.step().source is Source.HOLD
    assert loop.step(policy=policy).source is Source.POLICY
    assert loop.step(policy=policy, teleop=teleop).source is Source.TELEOP
    assert loop.step(policy=policy, teleop=teleop, estopped=True).source is Source.ESTOP
    assert loop.step(policy=policy, teleop=teleop).source is Source.TELEOP
    assert loop.step(policy=policy).source is Source.POLICY
    assert loop.arbiter.generation == len(loop.changes) == 5
    assert loop.changes[1] == (Source.POLICY, Source.TELEOP)


def test_a_policys_commands_pass_to_the_bit_with_the_facts_of_their_making():
    loop = Loop()
    rng = np.random.default_rng(0)
    for _ in range(20):
        policy = HOME + rng.uniform(-0.05, 0.05, 16)
        decision = loop.step(policy=policy)
        assert decision.positions.tobytes() == policy.tobytes()
    tick = decision.tick
    assert (decision.policy_version, decision.chunk_id, decision.chunk_index) == ('abc', 5, tick)
    assert decision.seen == Seen(tick * 7, {'head': tick})


def test_what_the_operator_or_nobody_does_is_not_the_policys():
    loop = Loop()
    for teleop in (HOME, None):
        decision = loop.step(teleop=teleop)
        assert (decision.policy_version, decision.chunk_id) == ('', 0)
    assert decision.seen == Seen(decision.tick * 9)


def test_a_policy_that_falls_silent_is_stood_in_for_then_the_robot_holds():
    loop = Loop()
    policy = HOME + 0.01
    loop.step(policy=policy)
    sources = [loop.step().source for _ in range(PATIENCE + 3)]
    assert sources == [Source.POLICY] * PATIENCE + [Source.HOLD] * 3
    np.testing.assert_array_equal(loop.command, policy)


def test_an_operator_who_falls_silent_is_not_followed_by_the_policy():
    loop = Loop()
    policy = HOME + 0.01
    loop.step(policy=policy)
    loop.step(policy=policy, teleop=HOME)
    sources = [loop.step(policy=policy, silent=True).source for _ in range(PATIENCE + 20)]
    assert sources == [Source.TELEOP] * PATIENCE + [Source.HOLD] * 20
    # Its process came back and knows of nothing: that is no hand-back.
    assert loop.step(policy=policy).source is Source.HOLD
    assert loop.step(policy=policy, teleop=HOME).source is Source.TELEOP
    assert loop.step(policy=policy).source is Source.POLICY


def test_after_a_reset_nothing_from_before_counts_and_the_first_command_passes_as_it_is():
    loop = Loop()
    loop.step(policy=HOME)
    loop.step(policy=HOME, teleop=HOME + 0.3)
    loop.reset_count += 1
    away = HOME + 0.5
    assert loop.step(silent=True, command=away).source is Source.HOLD
    np.testing.assert_array_equal(loop.command, away)
    loop.reset_count += 1
    decision = loop.step(policy=HOME, silent=True)
    assert decision.source is Source.POLICY
    np.testing.assert_array_equal(decision.positions, HOME)


def test_a_driver_started_anew_counts_its_ticks_anew():
    loop = Loop()
    for _ in range(50):
        loop.step(policy=HOME, teleop=HOME)
    loop.tick = 0
    assert loop.step(silent=True).source is Source.HOLD
    assert loop.step(policy=HOME, silent=True).source is Source.POLICY


def test_nobody_commands_while_it_is_not_known_where_the_robot_is():
    loop = Loop()
    decision = loop.step(command=None)
    assert decision.positions is None
    assert loop.step(estopped=True, command=None).positions is None
    np.testing.assert_array_equal(loop.step().positions, HOME)


def test_a_stopped_robot_is_asked_for_where_it_is_so_that_a_release_is_no_bump():
    loop = Loop()
    policy = HOME + 0.1
    loop.step(policy=HOME)
    for i in range(5):
        where = HOME + 0.01 * i
        decision = loop.step(policy=policy, estopped=True, command=where)
        np.testing.assert_array_equal(decision.positions, where)
    released = loop.step(policy=policy)
    assert np.max(np.abs(released.positions - where)[ARM_INDICES]) < 0.001


@pytest.mark.parametrize(('positions', 'names', 'reason'), [
    (np.zeros(15), COMMAND_NAMES, r'policy proposes 15 positions for 16 joint names'),
    (np.zeros(16), COMMAND_NAMES[::-1], 'in that order'),
    (np.full(16, np.nan), COMMAND_NAMES, 'proposes nan for idx21_arm_l_joint1'),
])
def test_a_proposal_that_cannot_be_followed_says_why(positions, names, reason):
    with pytest.raises(ProposalError, match=reason):
        Proposal(0, Source.POLICY, positions).check(names)


class Mover:
    """Somebody who moves the arms smoothly, within 0.7 rad/s and 4 rad/s^2."""

    def __init__(self, rng, start):
        self.centre = start + rng.uniform(-0.4, 0.4, 16)
        self.centre[[7, 15]] = rng.integers(0, 2, 2)
        self.size = rng.uniform(0.0, 0.12, 16)
        self.size[[7, 15]] = 0.0
        self.phase = rng.uniform(0, 6.28, 16)

    def at(self, tick):
        return self.centre + self.size * np.sin(5.6 * tick * PERIOD + self.phase)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_take_over_at_any_instant_is_within_the_drivers_limits_and_immediate(seed):
    """Whatever both were doing, and with stops of either thrown in."""
    rng = np.random.default_rng(seed)
    loop = Loop()
    policy = Mover(rng, HOME)
    teleop, last, step, spoken = None, None, np.zeros(16), 0
    for i in range(150):
        if rng.uniform() < 0.05:
            # Teleoperation begins at the robot's command, as the core does.
            teleop = None if teleop else (Mover(rng, loop.command), loop.command, i)
        asked = None
        if teleop is not None:
            mover, start, since = teleop
            asked = start + (mover.at(i) - mover.at(since)) * min(1.0, (i - since) / 15)
        silent = rng.uniform() < 0.02
        decision = loop.step(policy=None if silent else policy.at(i), teleop=asked)
        assert (decision.source is Source.TELEOP) == (teleop is not None)
        if last is not None:
            moved = decision.positions - last
            # What the driver would blend in as a leap never gets there.
            assert np.max(np.abs(moved[ARM_INDICES])) < SAFETY.arm_velocity * PERIOD
            assert np.max(np.abs(moved[[7, 15]])) <= SAFETY.gripper_velocity * PERIOD + 1e-9
            # One who was silent for a tick goes on where the arm would be.
            spoken = 0 if silent else spoken + 1
            if i > 1 and spoken > 2:
                change = (moved - step)[ARM_INDICES]
                assert np.max(np.abs(change)) < SAFETY.jump / 3
            step = moved
        last = decision.positions


@given(seed=st.integers(0, 2**31), teleop=st.booleans(), spells=st.lists(
    st.tuples(st.integers(1, PATIENCE), st.integers(1, 12)), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_behind_missed_answers_who_drives_is_caught_up_with_within_the_drivers_limits(
    seed, teleop, spells,
):
    """Spells of so many missed and so many punctual answers, of arms at up to 1.34 rad/s."""
    mover, loop = Mover(np.random.default_rng(seed), HOME), Loop()
    mover.size *= 2.0
    fastest, limit = 1.35 * PERIOD, 0.99 * SAFETY.arm_velocity * PERIOD
    asked = mover.at(0)
    last = loop.step(**{'teleop' if teleop else 'policy': asked}).positions
    behind = 0.0
    for missed in (miss for lost, came in spells for miss in [True] * lost + [False] * came):
        if missed:
            decision = loop.step(silent=teleop)
        else:
            asked = mover.at(loop.tick)
            decision = loop.step(**{'teleop' if teleop else 'policy': asked})
        assert decision.source is (Source.TELEOP if teleop else Source.POLICY)
        moved = np.abs(decision.positions - last)[ARM_INDICES]
        # Not over the limit, where the driver would clip it or take it for a leap.
        assert np.max(moved) < SAFETY.arm_velocity * PERIOD
        # Up to the missed answers it was there; from then on it gains on who drives.
        behind = behind + fastest if missed else max(0.0, behind - (limit - fastest))
        if behind == 0.0:
            np.testing.assert_array_equal(decision.positions, asked)
        last = decision.positions


def test_after_a_handover_the_commands_are_those_of_the_new_driver():
    loop = Loop()
    loop.step(policy=HOME)
    far = HOME + 0.6
    far[[7, 15]] = 1.0
    for _ in range(17):
        loop.step(policy=HOME, teleop=far)
    # Grippers do not wait for the arms.
    np.testing.assert_array_equal(loop.command[[7, 15]], far[[7, 15]])
    assert np.max(np.abs(loop.command - far)) > 0.05
    for _ in range(60):
        loop.step(policy=HOME, teleop=far)
    np.testing.assert_array_equal(loop.command, far)
