# SPDX-License-Identifier: Apache-2.0
import math
import time

import numpy as np
import pytest

from g1_description.joints import HOME
from g1_driver.clock import WallClock
from g1_driver.errors import ConnectionRefusedByCheckError, RobotFaultError
from g1_driver.sdk_robot import SdkRobot
from g1_driver.sdk_units import SdkConfig


def connected(config=None, cameras=()):
    robot = SdkRobot(config or SdkConfig(), WallClock(), cameras=cameras)
    robot.connect()
    return robot


def test_without_the_sdk_the_error_says_where_it_is():
    robot = SdkRobot(SdkConfig(), WallClock())
    with pytest.raises(RobotFaultError, match=r'source a2d_sdk/env\.sh'):
        robot.connect()


@pytest.mark.parametrize('changes', [
    {}, {'degrees': True}, {'centimetres': True, 'waist': [0.5, 0.3]}, {'raw_grippers': False},
    {'degrees': True, 'centimetres': True, 'waist': [0.3, 0.25]}, {'bare_lists': True},
])
def test_units_are_probed_and_the_state_is_the_same_in_all(sdk, changes):
    world = sdk.reset_world(**changes)
    sample = connected().read_state()
    np.testing.assert_allclose(sample.positions[:16], HOME, atol=1e-9)
    np.testing.assert_allclose(
        sample.positions[16:], [*world.head, world.waist[1], world.waist[0]], atol=1e-9)


def test_what_a_probe_cannot_decide_is_named(sdk):
    sdk.reset_world(waist=[0.02, 0.02], head=[0.0, 0.01])
    robot = connected()
    assert any('angle_unit=rad assumed' in text for text in robot.units.assumed)
    robot = connected(SdkConfig(angle_unit='rad', lift_unit='m', gripper_state='raw'))
    assert robot.units.assumed == ()


@pytest.mark.parametrize(('changes', 'config', 'text'), [
    ({'arms_in_degrees': True}, {}, 'joint1 is -61.*fit as degrees.*Nothing was moved'),
    ({'arm_count': 13}, {}, '13 numbers instead of 14'),
    ({'not_finite': True}, {}, '(?s)arm_joint_states returned .*nan.* which is not finite'),
    ({'degrees': True}, {'angle_unit': 'rad'}, r'cannot be rad; check sdk\.angle_unit'),
    ({'raw_grippers': True}, {'gripper_state': 'unit'}, r'be unit; check sdk\.gripper_state'),
    ({'waist': [0.5, 900.0]}, {}, 'lift 900.0 fit neither m nor cm'),
    ({'closure': np.array([9.0, 9.0])}, {}, 'gripper states .* fit neither unit nor raw'),
])
def test_answers_that_cannot_be_right_refuse_the_connection(sdk, changes, config, text):
    world = sdk.reset_world(**changes)
    with pytest.raises(ConnectionRefusedByCheckError, match=text):
        connected(SdkConfig(**config))
    assert world.sent == []
    assert world.sent_grippers == []


def test_a_camera_without_colour_refuses_the_connection(sdk):
    sdk.reset_world(image_shape=(720, 1280))
    with pytest.raises(ConnectionRefusedByCheckError, match=r'camera head .*shape \(720, 1280\)'):
        connected(cameras=['head'])


def test_a_silent_robot_is_a_fault(sdk, monkeypatch):
    monkeypatch.setattr('g1_driver.sdk_robot._WAIT_FOR_STATE', 0.1)
    sdk.reset_world(silent=True)
    with pytest.raises(RobotFaultError, match='is it switched on'):
        connected()


def test_a_state_that_stands_still_is_a_fault(sdk):
    robot = connected(SdkConfig(stale_after=1.0))
    robot.read_state()
    sdk.world.frozen = True
    robot.read_state()
    until = time.monotonic() + 60.0

    def read_on():
        while time.monotonic() < until:
            robot.read_state()

    with pytest.raises(RobotFaultError, match=r'not changed its stamp .* the limit is 1\.0 s'):
        read_on()


@pytest.mark.parametrize('fault', [{'not_finite': True}, {'arms_in_degrees': True}])
def test_a_state_that_turns_implausible_is_a_fault(sdk, fault):
    robot = connected()
    for name, value in fault.items():
        setattr(sdk.world, name, value)
    with pytest.raises(RobotFaultError):
        robot.read_state()


@pytest.mark.parametrize('closed_at', [0.0, 1.0])
def test_a_gripper_closes_whichever_end_is_closed(sdk, closed_at):
    world = sdk.reset_world(raw_grippers=False, closed_at=closed_at)
    robot = connected(SdkConfig(gripper_closed_at=closed_at))
    targets = HOME.copy()
    targets[7] = 0.75
    robot.send(targets)
    np.testing.assert_allclose(world.closure, [0.75, 0.0])
    np.testing.assert_allclose(robot.read_state().positions[[7, 15]], [0.75, 0.0])
    robot.send(targets)
    assert len(world.sent_grippers) == 1
    np.testing.assert_allclose(world.sent[-1], np.delete(HOME, [7, 15]))


def test_images_are_cropped_resized_rgb_and_not_repeated(sdk):
    robot = connected(cameras=['head', 'left_wrist'])
    frames = robot.read_frames()
    assert [frame.camera for frame in frames] == ['head', 'left_wrist']
    assert frames[0].rgb.shape == (128, 128, 3)
    assert frames[0].rgb[0, 0].tolist() == [200, 0, 0]
    sdk.world.image_frozen = True
    robot.read_frames()
    assert robot.read_frames() == []
    other = connected(SdkConfig(image_order='bgr'), cameras=['head'])
    assert other.read_frames()[0].rgb[0, 0].tolist() == [0, 0, 200]


def test_halting_stops_the_motion_controller_and_closing_lets_go(sdk):
    robot = connected()
    robot.halt()
    assert sdk.world.stopped == 1
    robot.close()
    robot.close()
    assert sdk.world.open == 0


@pytest.mark.parametrize('changes', [
    {'gripper_closed_at': 0.5}, {'gripper_raw_open': 120.0}, {'gripper_raw_open': 120}])
def test_settings_that_cannot_be_are_refused(changes):
    with pytest.raises(ValueError, match='sdk'):
        SdkConfig(**changes)


def test_velocities_come_from_differences_over_the_sdks_stamps(sdk):
    robot = connected()
    world = sdk.world
    world.move = lambda: None
    world.stamp = 10**18
    assert robot.read_state().velocities[0] == 0.0
    world.arms[0] += 0.02
    world.stamp += 10_000_000
    assert robot.read_state().velocities[0] == pytest.approx(2.0)
    # Read again before the SDK has heard more: the velocity stays.
    assert robot.read_state().velocities[0] == pytest.approx(2.0)
    assert math.isnan(robot.read_state().efforts[0])


def test_arms_near_zero_and_states_without_stamps_are_named(sdk):
    sdk.reset_world(arms=np.zeros(14), bare_lists=True)
    assumed = ' '.join(connected().units.assumed)
    assert 'may be degrees' in assumed
    assert 'without stamps' in assumed


def test_a_head_that_leaves_its_limits_later_is_a_fault(sdk):
    robot = connected()
    sdk.world.head = [0.0, 2.5]
    with pytest.raises(RobotFaultError, match='do not fit the units found at connection'):
        robot.read_state()
