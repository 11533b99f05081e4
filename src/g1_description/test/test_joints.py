# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from g1_description import joints as j
from g1_description.cameras import CAMERAS, camera
from g1_description.errors import UnknownNameError
from g1_description.links import link


def test_the_policy_layout_is_left_arm_gripper_right_arm_gripper():
    names = j.COMMAND_NAMES
    assert len(names) == 16
    assert names[0] == 'idx21_arm_l_joint1'
    assert names[7] == 'idx41_gripper_l_outer_joint1'
    assert names[8] == 'idx61_arm_r_joint1'
    assert names[15] == 'idx81_gripper_r_outer_joint1'
    assert j.STATE_NAMES[:16] == names
    assert len(set(j.STATE_NAMES)) == 20


def test_the_right_arm_mirrors_the_left_ones_limits():
    left, right = j.limits(j.LEFT_ARM), j.limits(j.RIGHT_ARM)
    np.testing.assert_array_equal(left[0], -right[1])
    np.testing.assert_array_equal(left[1], -right[0])


def test_home_is_within_limits():
    lower, upper = j.limits(j.COMMAND_JOINTS)
    assert np.all(lower <= j.HOME)
    assert np.all(upper >= j.HOME)


def test_an_unknown_joint_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownNameError, match=r"did you mean 'idx2\d_arm_l"):
        j.joint('idx21_arm_l_joint9')


def test_an_unknown_camera_and_link_are_refused_with_what_there_is():
    with pytest.raises(UnknownNameError, match=r'unknown camera .top.*head, left_wrist'):
        camera('top')
    with pytest.raises(UnknownNameError, match="'head_link'; did you mean 'head_link"):
        link('head_link')


@pytest.mark.parametrize('size', [(128, 128), (320, 180), (640, 360), (100, 300)])
def test_a_crop_never_sees_more_than_the_camera(size):
    for found in CAMERAS:
        width, height = size
        assert found.crop_fovy(width, height) <= found.fovy + 1e-12
        fx, fy, cx, cy = found.intrinsics(width, height)
        focal = found.height / 2 / np.tan(found.fovy / 2)
        native_half = np.arctan(found.width / 2 / focal)
        assert np.arctan(width / 2 / fx) <= native_half + 1e-12
        assert fx == fy
        assert (cx, cy) == ((width - 1) / 2, (height - 1) / 2)
