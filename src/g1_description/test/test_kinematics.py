# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from g1_description.joints import COMMAND_JOINTS, HOME, limits
from g1_description.kinematics import ARMS, ArmKinematics, orientation_error

ARM = ArmKinematics.of_robot()
# Elbows out and half bent, away from every limit and singularity.
READY = np.array([-0.176, 0.441, 0.286, -0.942, 0.286, 1.329, 0.582])
POSTURE = np.concatenate([READY, [0.0], -READY, [0.0], [0.0, 0.0, 0.33, 0.34]])
LOWER, UPPER = limits(COMMAND_JOINTS)


def hand(side, full):
    ARM.place(full)
    return ARM.pose(side)


def moved(side, full, change):
    after = full.copy()
    after[ARMS[side]] += change
    return after


@pytest.mark.parametrize('side', [0, 1])
@pytest.mark.parametrize('axis', range(6))
def test_a_twist_moves_the_hand_along_its_axis_and_no_other(side, axis):
    twist = np.zeros(6)
    twist[axis] = 0.1
    change = ARM.velocity(side, twist, POSTURE, POSTURE[ARMS[side]], seconds=0.05)
    before, turned_before = hand(side, POSTURE)
    after, turned_after = hand(side, moved(side, POSTURE, change))
    went = np.concatenate([after - before, orientation_error(turned_before, turned_after)])
    np.testing.assert_allclose(went, 0.05 * twist, atol=6e-4)
    assert went[axis] > 0.004


@given(side=st.integers(0, 1), seed=st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_no_joint_passes_its_limit_whatever_is_asked(side, seed):
    rng = np.random.default_rng(seed)
    full = np.concatenate([rng.uniform(LOWER, UPPER), [0.0, 0.0, 0.3, 0.3]])
    twist = rng.uniform(-3.0, 3.0, 6)
    start = full[ARMS[side]]
    after = start + ARM.velocity(side, twist, full, HOME[ARMS[side]], seconds=1.0)
    assert np.all(np.isfinite(after))
    assert np.all(after >= np.minimum(LOWER[ARMS[side]] + 0.03, start) - 1e-12)
    assert np.all(after <= np.maximum(UPPER[ARMS[side]] - 0.03, start) + 1e-12)


def test_where_a_joint_has_stopped_the_hand_still_moves_across():
    """The elbow is stretched as far as it goes: forward is no way, up still is."""
    full = POSTURE.copy()
    full[3] = -1.48 + 0.03
    full[5] = 1.74 - 0.03
    for twist in (np.array([0.0, 0.0, 0.1, 0, 0, 0]), np.array([0.0, 0.0, -0.1, 0, 0, 0])):
        change = ARM.velocity(0, twist, full, full[ARMS[0]], seconds=0.05)
        went = hand(0, moved(0, full, change))[0] - hand(0, full)[0]
        assert went @ twist[:3] > 0.5 * 0.05 * 0.1**2


def test_the_elbow_seeks_the_posture_while_the_hand_stays():
    full = POSTURE.copy()
    start = hand(0, full)[0]
    # The one way in which the arm moves without its hand.
    elbow = np.linalg.svd(ARM.jacobian(0))[2][-1]
    posture = full[ARMS[0]] + 0.3 * elbow
    for _ in range(40):
        full = moved(0, full, ARM.velocity(0, np.zeros(6), full, posture, seconds=1 / 30))
    assert np.linalg.norm(posture - full[ARMS[0]]) < 0.15
    assert np.linalg.norm(hand(0, full)[0] - start) < 0.01
