# SPDX-License-Identifier: Apache-2.0
"""Forward kinematics in PyTorch against MuJoCo's, and the Jacobian against differences."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
import torch

from g1_description.mjcf import RobotIndex, add_robot, base_spec
from lwd_policy.kinematics import HandKinematics, reach


@pytest.fixture(scope='module')
def robot():
    spec = base_spec()
    add_robot(spec)
    model = spec.compile()
    return model, mujoco.MjData(model), RobotIndex(model)


@pytest.mark.parametrize('seed', range(5))
def test_poses_are_those_of_the_simulator(robot, seed):
    model, data, index = robot
    positions = np.random.default_rng(seed).uniform(-1.0, 1.0, 20)
    positions[[7, 15]] = 0.3
    positions[16:] = [0.1, 0.2, 0.3, 0.4]
    index.set_positions(data, positions)
    mujoco.mj_kinematics(model, data)
    joints = torch.tensor(positions)[None]
    where, turned = HandKinematics().double()(joints[:, :16], joints[:, 16:])
    for side in (0, 1):
        np.testing.assert_allclose(where[0, side], data.site_xpos[index.tcp[side]], atol=1e-6)
        np.testing.assert_allclose(
            turned[0, side].flatten(), data.site_xmat[index.tcp[side]], atol=1e-6)


def test_jacobian_is_that_of_finite_differences():
    hands = HandKinematics().double()
    generator = torch.Generator().manual_seed(0)
    joints = torch.randn(3, 16, generator=generator, dtype=torch.float64) * 0.5
    posture = torch.rand(3, 4, generator=generator, dtype=torch.float64) * 0.3
    jacobian = hands.jacobian(joints, posture)
    for side, first in ((0, 0), (1, 8)):
        for i in range(7):
            step = torch.zeros(16, dtype=torch.float64)
            step[first + i] = 1e-6
            slope = (hands(joints + step, posture)[0] - hands(joints - step, posture)[0]) / 2e-6
            torch.testing.assert_close(slope[:, side], jacobian[:, side, :3, i], atol=1e-7, rtol=0)


def test_reach_brings_the_hand_there():
    hands = HandKinematics().double()
    joints = torch.tensor([[-1.0, 0.6, 0.3, -1.2, 0.7, 1.0, -0.2, 0.0] * 2], dtype=torch.float64)
    posture = torch.tensor([[0.0, 0.0, 0.3, 0.2]], dtype=torch.float64)
    wanted = torch.tensor([0.002, -0.003, 0.001], dtype=torch.float64)
    motion = reach(hands.jacobian(joints, posture), damping=1e-4) @ wanted
    moved = joints.clone()
    moved[:, :7] += motion[:, 0]
    moved[:, 8:15] += motion[:, 1]
    apart = hands(moved, posture)[0] - hands(joints, posture)[0]
    torch.testing.assert_close(apart, wanted.expand(1, 2, 3), atol=1e-4, rtol=0)
