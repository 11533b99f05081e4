# SPDX-License-Identifier: Apache-2.0
"""URDF and MJCF come from one table: they must describe the same robot."""

import xml.etree.ElementTree as ET

import mujoco
import numpy as np
import pytest

from g1_description import joints as j
from g1_description.links import FINGER_TRAVEL, LINKS
from g1_description.links import link as link_of
from g1_description.mjcf import RobotIndex, add_robot, base_spec
from g1_description.transforms import matrix_to_rpy, rpy_to_matrix, rpy_to_quaternion
from g1_description.urdf import urdf


@pytest.fixture(scope='module')
def model():
    spec = base_spec()
    add_robot(spec)
    return spec.compile()


@pytest.fixture(scope='module')
def robot():
    return ET.fromstring(urdf())


def vector(text):
    return np.array([float(number) for number in text.split()])


def poses_by_urdf(robot, values):
    """Forward kinematics straight from the XML, as robot_state_publisher would do it."""
    poses = {'base_link': np.eye(4)}
    pending = list(robot.findall('joint'))
    while pending:
        remaining = []
        for joint in pending:
            parent = joint.find('parent').get('link')
            if parent not in poses:
                remaining.append(joint)
                continue
            origin = joint.find('origin')
            pose = np.eye(4)
            if origin is not None:
                pose[:3, :3] = rpy_to_matrix(vector(origin.get('rpy')))
                pose[:3, 3] = vector(origin.get('xyz'))
            pose = poses[parent] @ pose @ motion(joint, values)
            poses[joint.find('child').get('link')] = pose
        assert len(remaining) < len(pending), 'a joint hangs in the air'
        pending = remaining
    return poses


def motion(joint, values):
    moved = np.eye(4)
    if joint.get('type') == 'fixed':
        return moved
    mimic = joint.find('mimic')
    if mimic is not None:
        value = (float(mimic.get('multiplier')) * values[mimic.get('joint')]
                 + float(mimic.get('offset')))
    else:
        value = values[joint.get('name')]
    axis = vector(joint.find('axis').get('xyz'))
    if joint.get('type') == 'prismatic':
        moved[:3, 3] = value * axis
    else:
        quaternion, matrix = np.empty(4), np.empty(9)
        mujoco.mju_axisAngle2Quat(quaternion, axis, value)
        mujoco.mju_quat2Mat(matrix, quaternion)
        moved[:3, :3] = matrix.reshape(3, 3)
    return moved


@pytest.mark.parametrize('seed', range(5))
def test_urdf_and_mjcf_put_every_link_in_the_same_place(model, robot, seed):
    lower, upper = j.limits(j.STATE_JOINTS)
    positions = np.random.default_rng(seed).uniform(lower, upper)
    data = mujoco.MjData(model)
    index = RobotIndex(model)
    index.set_positions(data, positions)
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose(index.positions(data), positions, atol=1e-12)
    poses = poses_by_urdf(robot, dict(zip(j.STATE_NAMES, positions)))
    for link in LINKS:
        body = data.body(link.name)
        np.testing.assert_allclose(poses[link.name][:3, 3], body.xpos, atol=1e-7)
        np.testing.assert_allclose(poses[link.name][:3, :3], body.xmat.reshape(3, 3), atol=1e-7)


def test_the_hands_are_where_the_makers_urdf_puts_them(model):
    """Flange positions at the public data-collection pose, computed from AgiBot's own URDF."""
    data = mujoco.MjData(model)
    RobotIndex(model).set_positions(data, [*j.HOME, 0.0, 0.4593, 0.02, 0.5061])
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose(data.body('arm_l_end_link').xpos, [0.598, 0.300, 0.804], atol=2e-3)
    np.testing.assert_allclose(data.body('arm_r_end_link').xpos, [0.598, -0.302, 0.804], atol=2e-3)


def test_limits_speeds_and_efforts_reach_both_models(model, robot):
    limits = {joint.get('name'): joint.find('limit') for joint in robot.findall('joint')}
    for joint in j.STATE_JOINTS:
        limit = limits[joint.name]
        assert float(limit.get('lower')) == pytest.approx(joint.lower)
        assert float(limit.get('upper')) == pytest.approx(joint.upper)
        assert float(limit.get('velocity')) == pytest.approx(joint.velocity)
        assert float(limit.get('effort')) == pytest.approx(joint.effort)
    for joint in (*j.LEFT_ARM, *j.RIGHT_ARM):
        np.testing.assert_allclose(model.joint(joint.name).range, [joint.lower, joint.upper])
        assert model.actuator(joint.name).forcerange[1] == joint.effort


def test_what_is_only_seen_touches_nothing_and_weighs_nothing(model, robot):
    names = {f'{link.name}/{i}' for link in LINKS
             for i, shape in enumerate(link.shapes) if not shape.touches}
    assert names
    assert names == {model.geom(i).name for i in range(model.ngeom)
                     if not model.geom_contype[i] and not model.geom_conaffinity[i]}
    for link in LINKS:
        element = next(e for e in robot.findall('link') if e.get('name') == link.name)
        unseen = len(element.findall('visual')) - len(element.findall('collision'))
        assert unseen == sum(not shape.touches for shape in link.shapes)
        assert model.body(link.name).mass == pytest.approx(link.mass)


def test_the_column_reaches_from_the_base_to_the_torso_at_every_lift(model):
    data, index = mujoco.MjData(model), RobotIndex(model)
    base = next(i for i, shape in enumerate(link_of('base_link').shapes)
                if shape.kind == 'box' and shape.xyz[2] > 0.5)
    mast, carriage = (f'body_link1/{i}' for i, shape in enumerate(link_of('body_link1').shapes)
                      if not shape.touches)

    def span(name, axis):
        geom = model.geom(name)
        middle = data.geom(name).xpos[axis]
        return middle - geom.size[axis], middle + geom.size[axis]

    lower, upper = j.WAIST[0].lower, j.WAIST[0].upper
    for lift in np.linspace(lower, upper, 12):
        positions = np.zeros(20)
        positions[j.STATE_NAMES.index(j.WAIST[0].name)] = lift
        index.set_positions(data, positions)
        mujoco.mj_forward(model, data)
        column = span(f'base_link/{base}', 2)
        assert span(mast, 2)[0] < column[1] - 0.05
        # The carriage hangs on whichever of the two is at its height, and reaches the torso.
        low, high = span(carriage, 2)
        assert high < max(column[1], span(mast, 2)[1])
        assert span(carriage, 0)[0] < span(f'base_link/{base}', 0)[1]
        assert span(carriage, 0)[1] > span('body_link1/0', 0)[0]
        assert low < span('body_link1/0', 2)[1] < high + 0.02


def test_a_gripper_closes_from_both_sides(model):
    data = mujoco.MjData(model)
    index = RobotIndex(model)
    for closure, gap in ((0.0, 2 * FINGER_TRAVEL), (1.0, 0.0), (0.5, FINGER_TRAVEL)):
        positions = np.zeros(20)
        positions[j.GRIPPER_INDICES] = closure
        index.set_positions(data, positions)
        mujoco.mj_forward(model, data)
        outer, inner = (data.body(f'gripper_l_{side}_link').xpos for side in ('outer', 'inner'))
        assert np.linalg.norm(outer - inner) == pytest.approx(gap, abs=1e-9)


@pytest.mark.parametrize('seed', range(10))
def test_rotations_survive_the_way_through_angles(seed):
    angles = np.random.default_rng(seed).uniform(-3, 3, 3)
    matrix = rpy_to_matrix(angles)
    np.testing.assert_allclose(rpy_to_matrix(matrix_to_rpy(matrix)), matrix, atol=1e-12)
    other = np.empty(9)
    mujoco.mju_quat2Mat(other, rpy_to_quaternion(angles))
    np.testing.assert_allclose(other.reshape(3, 3), matrix, atol=1e-12)


def test_looking_straight_up_has_angles_too():
    matrix = rpy_to_matrix((0.3, np.pi / 2, 0.0))
    np.testing.assert_allclose(rpy_to_matrix(matrix_to_rpy(matrix)), matrix, atol=1e-9)
