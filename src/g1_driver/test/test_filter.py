# SPDX-License-Identifier: Apache-2.0
import math
import re

import mujoco
import numpy as np
import pytest
from filtering import CONFIG, PERIOD, POSTURE, PROXIMITY, READY, TICK_NS, make, run

from g1_description import joints as j
from g1_driver.commands import Clip, Command, Hold, State
from g1_driver.errors import ConfigurationError
from g1_driver.safety.config import SafetyConfig
from g1_driver.safety.filter import SafetyFilter
from g1_driver.safety.proximity import ProximityModel


def true_margin(positions, proximity=PROXIMITY):
    """The worst margin by alternating projections between the real shapes of every pair."""
    model, data = proximity._model, proximity._data
    proximity._index.set_positions(data, np.concatenate([positions, POSTURE]))
    mujoco.mj_kinematics(model, data)
    worst = math.inf
    for check in proximity._checks:
        for geom in np.unique(check.spheres.geom):
            for other in check.boxes.geom:
                worst = min(worst, shape_distance(model, data, geom, other) - check.required)
    return worst


def shape_distance(model, data, a, b):
    half = {}
    radius = {}
    for geom in (a, b):
        size, box = model.geom_size[geom], model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_BOX
        half[geom] = size if box else np.array([0.0, 0.0, size[1]])
        radius[geom] = 0.0 if box else size[0]
    bound = np.linalg.norm(data.geom_xpos[a] - data.geom_xpos[b]) - sum(
        np.linalg.norm(half[geom]) + radius[geom] for geom in (a, b))
    if bound > 0.05:
        return bound
    frames = {geom: data.geom_xmat[geom].reshape(3, 3) for geom in (a, b)}

    def project(geom, point):
        local = frames[geom].T @ (point - data.geom_xpos[geom])
        return data.geom_xpos[geom] + frames[geom] @ np.clip(local, -half[geom], half[geom])

    on_b = data.geom_xpos[b].copy()
    gap = math.inf
    for _ in range(400):
        on_a = project(a, on_b)
        on_b = project(b, on_a)
        before, gap = gap, np.linalg.norm(on_a - on_b)
        if before - gap < 1e-7:
            break
    return gap - radius[a] - radius[b]


def test_a_command_within_the_limits_passes_unchanged():
    safety = make()
    target = READY.copy()
    executed, now = run(safety, target, 1)
    for _ in range(30):
        now += TICK_NS
        target = target + 0.005
        target[j.GRIPPER_INDICES] = 0.0
        executed = safety.step(Command(target, now), now_ns=now)
    np.testing.assert_allclose(executed.positions, target, atol=1e-9)
    assert executed.state is State.ACTIVE
    assert executed.detail == ''


def test_a_leap_is_blended_and_arrives():
    safety = make()
    target = READY.copy()
    target[0] += 0.4
    executed, now = run(safety, target, 1)
    assert executed.clips[0] & Clip.BLEND
    assert abs(executed.positions[0] - READY[0]) < 0.01
    executed, _ = run(safety, target, 90, now)
    assert executed.positions[0] == pytest.approx(target[0], abs=1e-6)
    assert not executed.clips.any()


def test_a_take_over_after_a_hold_is_jerk_limited():
    safety = make()
    now = 10**12
    safety.step(None, now_ns=now)
    target = READY.copy()
    target[1] += 0.6
    path = [READY[1], READY[1]]
    for _ in range(120):
        now += TICK_NS
        path.append(safety.step(Command(target, now), now_ns=now).positions[1])
    jerk = np.diff(path, 3) / PERIOD**3
    # Sampling at 30 Hz sees the edges of the blend's jerk as a step of at most its size.
    assert np.max(np.abs(jerk)) <= 1.5 * CONFIG.blend_jerk
    assert path[-1] == pytest.approx(target[1], abs=1e-6)


def test_even_a_small_offset_after_a_hold_is_blended_in():
    safety = make()
    now = 10**12
    safety.step(None, now_ns=now)
    target = READY.copy()
    target[1] += 0.1
    path = [READY[1], READY[1]]
    for _ in range(60):
        now += TICK_NS
        path.append(safety.step(Command(target, now), now_ns=now).positions[1])
    assert np.max(np.abs(np.diff(path, 3) / PERIOD**3)) <= 1.5 * CONFIG.blend_jerk
    assert path[-1] == pytest.approx(target[1], abs=1e-6)


def test_distances_are_those_of_the_shapes():
    """Against an independent measurement: never more than 2 mm too far, rarely much too close."""
    rng = np.random.default_rng(3)
    lower, upper = j.limits(j.COMMAND_JOINTS)
    excess = []
    for _ in range(150):
        positions = rng.uniform(lower, upper)
        found, true = PROXIMITY.clearance(positions).worst, true_margin(positions)
        if -0.02 < true < 0.03:
            assert found <= true + 0.002
            excess.append(true - found)
    assert len(excess) > 20
    assert np.median(excess) < 0.006
    assert max(excess) < 0.020


def test_a_configured_box_is_kept_away_from():
    bare = ProximityModel(CONFIG, posture=POSTURE)
    bare.clearance(READY)
    hand = bare._data.site('tcp_l').xpos
    box = (*hand[:2], hand[2] - 0.2, 0.1, 0.1, 0.1)
    model = ProximityModel(SafetyConfig(keep_out=box), posture=POSTURE)
    assert model.clearance(READY).worst < bare.clearance(READY).worst
    assert 'keep-out box 0' in model.clearance(READY).pair


def test_a_target_beyond_a_limit_stops_at_the_margin_and_says_so():
    safety = make()
    target = READY.copy()
    target[4] = 3.5
    executed, _ = run(safety, target, 200)
    assert executed.positions[4] == pytest.approx(3.10 - CONFIG.position_margin)
    assert executed.clips[4] & Clip.POSITION
    assert 'position: idx25_arm_l_joint5 (asked 3.500)' in executed.detail


def test_hands_sent_through_each_other_stop_apart():
    safety = make()
    target = READY.copy()
    target[0], target[8] = -0.4, 0.4
    target[6], target[14] = 0.8, -0.8
    target[2], target[10] = 1.2, -1.2
    executed, _ = run(safety, target, 300)
    clearance = PROXIMITY.clearance(executed.positions)
    assert executed.clips.any()
    assert any(clip & Clip.DISTANCE for clip in executed.clips)
    assert clearance.worst >= 0.0
    assert clearance.distance < 0.06
    assert executed.min_distance == pytest.approx(clearance.distance)
    assert clearance.pair


def test_an_arm_whose_way_is_free_goes_on_while_the_other_is_stopped():
    safety = make()
    target = READY.copy()
    target[8:15] = [0.4, READY[9], -1.2, READY[11], READY[12], READY[13], -0.8]
    blocked, now = run(safety, target, 200)
    assert any(clip & Clip.DISTANCE for clip in blocked.clips[8:15])
    target[1] += 0.1
    executed, _ = run(safety, target, 60, now)
    assert executed.positions[1] == pytest.approx(target[1], abs=1e-6)


@pytest.mark.parametrize(('command', 'hold', 'text'), [
    (lambda now: None, Hold.NO_COMMAND, 'no command received'),
    (lambda now: Command(READY, now - 10**9), Hold.STALE, r'1\.000 s old; the limit is 0\.2 s'),
    (lambda now: Command(READY, now + 10**9), Hold.FUTURE, r'1\.000 s in the future'),
    (lambda now: Command(np.full(16, math.nan), now), Hold.NOT_FINITE,
     'idx21_arm_l_joint1 is nan'),
    (lambda now: Command(np.full(16, math.inf), now), Hold.NOT_FINITE, 'is inf'),
    (lambda now: Command(READY[:15], now), Hold.LAYOUT, '15 positions .* the layout has 16'),
    (lambda now: Command(READY, now, j.COMMAND_NAMES[::-1]), Hold.LAYOUT,
     'has idx81_gripper_r_outer_joint1 at place 0, where idx21_arm_l_joint1 belongs'),
    (lambda now: Command(READY, now, ('elbow', *j.COMMAND_NAMES[1:])), Hold.LAYOUT,
     'names elbow, which is no joint'),
    (lambda now: Command(READY, now, j.COMMAND_NAMES[:15]), Hold.LAYOUT,
     'lacks idx81_gripper_r_outer_joint1'),
])
def test_a_bad_command_makes_the_robot_brake_and_hold(command, hold, text):
    safety = make()
    target = READY.copy()
    now = 10**12
    for _ in range(20):
        now += TICK_NS
        target = target + 0.01 * (np.arange(16) == 1)
        safety.step(Command(target, now), now_ns=now)
    assert safety.moving
    for _ in range(5):
        now += TICK_NS
        executed = safety.step(command(now), now_ns=now)
        assert executed.state is State.HOLD
        assert executed.hold is hold
        assert re.search(text, executed.detail)
    assert not safety.moving


def test_the_emergency_stop_latches_until_it_is_released():
    safety = make()
    safety.estop('button')
    safety.estop('second button')
    target = READY.copy()
    target[0] += 0.1
    executed, now = run(safety, target, 30)
    assert executed.state is State.ESTOP
    assert executed.hold is Hold.ESTOP
    assert 'emergency stop: button; release it explicitly' in executed.detail
    np.testing.assert_array_equal(executed.positions, READY)
    safety.reset(READY)
    assert safety.estopped
    assert safety.stop_reason == 'button'
    safety.release(READY)
    executed, _ = run(safety, target, 60, now)
    assert executed.positions[0] == pytest.approx(target[0], abs=1e-6)


def test_a_fault_holds_until_a_reset():
    safety = make()
    safety.fault('lost the state')
    executed, now = run(safety, READY, 3)
    assert executed.hold is Hold.FAULT
    assert 'lost the state; reset the robot' in executed.detail
    safety.reset(READY)
    executed, _ = run(safety, READY, 1, now)
    assert executed.state is State.ACTIVE


def test_a_start_outside_the_limits_only_moves_inwards():
    start = READY.copy()
    start[3] = -1.5
    safety = make(start)
    target = start.copy()
    target[3] = -1.6
    executed, now = run(safety, target, 30)
    assert executed.positions[3] >= -1.5
    target[3] = -1.0
    executed, _ = run(safety, target, 90, now)
    assert executed.positions[3] == pytest.approx(-1.0, abs=1e-6)


def test_a_filter_without_a_position_refuses_to_step():
    safety = SafetyFilter(CONFIG, PROXIMITY, period=PERIOD)
    with pytest.raises(ConfigurationError, match='call reset first'):
        safety.step(None, now_ns=0)
    with pytest.raises(ConfigurationError, match='16 finite numbers'):
        safety.reset(np.full(16, math.nan))


def test_limits_that_cannot_be_are_refused():
    with pytest.raises(ConfigurationError, match=r'safety\.arm_velocity is -1'):
        SafetyConfig(arm_velocity=-1.0)
    with pytest.raises(ConfigurationError, match='is nan'):
        SafetyConfig(jump=math.nan)
    with pytest.raises(ConfigurationError, match=r'arm_velocity is 5.0; it must be in .* 3\.14'):
        SafetyConfig(arm_velocity=5.0)
    with pytest.raises(ConfigurationError, match='has 5 numbers; each box takes 6'):
        SafetyConfig(keep_out=(1.0,) * 5)
    with pytest.raises(ConfigurationError, match=r'box 0 has .* half sizes above 0'):
        SafetyConfig(keep_out=(1.0, 0.0, 0.0, 0.1, 0.1, 0.0))


def test_an_arm_cannot_reach_itself():
    """Why the distance check leaves pairs within one arm out: the limits keep them apart."""
    import mujoco

    from g1_description.mjcf import RobotIndex, add_robot, base_spec
    spec = base_spec()
    add_robot(spec)
    for body in spec.bodies:
        inner = body.name in ('arm_l_link2', 'arm_l_link3')
        outer = body.name.startswith('gripper_l')
        for geom in body.geoms:
            geom.contype, geom.conaffinity = int(inner), int(outer)
    model = spec.compile()
    data, index = mujoco.MjData(model), RobotIndex(model)
    rng = np.random.default_rng(0)
    lower, upper = j.limits(j.STATE_JOINTS)
    touched = 0
    for _ in range(4000):
        index.set_positions(data, rng.uniform(lower, upper))
        mujoco.mj_kinematics(model, data)
        mujoco.mj_collision(model, data)
        touched += data.ncon > 0
    assert touched == 0
