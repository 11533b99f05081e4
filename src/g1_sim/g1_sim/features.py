# SPDX-License-Identifier: Apache-2.0
"""A scene as numbers of a fixed length: privileged observations, the same layout for every task.

They say what is there, not what is asked: a policy must still read the instruction. The layout is
that of lwd_data.scene_layout.
"""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from g1_description.mjcf import RobotIndex
from g1_sim.errors import SceneError
from g1_sim.world import World
from lwd_data.scene_layout import SCENE_1

Array = NDArray[np.float64]

LAYOUT, SIZE = SCENE_1.name, SCENE_1.size
_HAND, _BODY, _JOINT, _FIXTURE = (group.size for group in SCENE_1.groups)
_, BODIES, JOINTS, FIXTURES = (group.count for group in SCENE_1.groups)
_SCENERY = ('floor', 'wall')
_ROUND = (mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_CAPSULE,
          mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_ELLIPSOID)


class SceneFeatures:
    """Reads the features of one world; what cannot change is read once."""

    def __init__(self, world: World) -> None:
        """Find bodies, joints and fixtures.

        Raises:
            SceneError: The scene has more of them than the layout has room for.
        """
        self._world = world
        model = world.model
        self._tcp = RobotIndex(model).tcp
        free = mujoco.mjtJoint.mjJNT_FREE
        self._free = [i for i in range(model.njnt) if model.jnt_type[i] == free]
        robot = _robot_joints(model)
        self._joints = [
            i for i in range(model.njnt) if model.jnt_type[i] != free and i not in robot]
        fixtures = [
            i for i in range(model.ngeom)
            if model.geom_bodyid[i] == 0 and model.geom(i).name not in _SCENERY]
        # Legs and sides matter least: the largest surfaces come first.
        fixtures.sort(key=lambda i: (-float(np.prod(model.geom_size[i][:2])), i))
        if len(self._free) > BODIES or len(self._joints) > JOINTS:
            raise SceneError(
                f'scene {world.scene.task!r} has {len(self._free)} bodies and {len(self._joints)} '
                f'joints; layout {LAYOUT} has room for {BODIES} and {JOINTS}')
        self._constant = np.zeros(SIZE, dtype=np.float32)
        self._looks()
        for k, geom in enumerate(fixtures[:FIXTURES]):
            at = SIZE - (FIXTURES - k) * _FIXTURE
            self._constant[at:at + _FIXTURE] = [
                1.0, *model.geom_pos[geom], *model.geom_size[geom], *model.geom_rgba[geom][:3]]

    def _looks(self) -> None:
        """Fill in size, colour and shape of each body: of its first geom."""
        model = self._world.model
        for k, joint in enumerate(self._free):
            geom = model.body_geomadr[model.jnt_bodyid[joint]]
            at = 2 * _HAND + k * _BODY
            self._constant[at] = 1.0
            self._constant[at + 13:at + 16] = model.geom_aabb[geom][3:6]
            self._constant[at + 16:at + 19] = model.geom_rgba[geom][:3]
            self._constant[at + 19] = float(model.geom_type[geom] in _ROUND)
        for k in range(len(self._joints)):
            self._constant[2 * _HAND + BODIES * _BODY + k * _JOINT] = 1.0

    def values(self) -> NDArray[np.float32]:
        """Return the features, (SIZE,)."""
        data, model = self._world.data, self._world.model
        values = self._constant.copy()
        for side, site in enumerate(self._tcp):
            at = side * _HAND
            values[at:at + 3] = data.site_xpos[site]
            values[at + 3:at + 9] = data.site_xmat[site].reshape(3, 3)[:, :2].T.ravel()
        matrix = np.empty(9)
        for k, joint in enumerate(self._free):
            at = 2 * _HAND + k * _BODY
            address, speed = model.jnt_qposadr[joint], model.jnt_dofadr[joint]
            mujoco.mju_quat2Mat(matrix, data.qpos[address + 3:address + 7])
            values[at + 1:at + 4] = data.qpos[address:address + 3]
            values[at + 4:at + 10] = matrix.reshape(3, 3)[:, :2].T.ravel()
            values[at + 10:at + 13] = data.qvel[speed:speed + 3]
        for k, joint in enumerate(self._joints):
            at = 2 * _HAND + BODIES * _BODY + k * _JOINT
            values[at + 1] = data.qpos[model.jnt_qposadr[joint]]
            values[at + 2] = data.qvel[model.jnt_dofadr[joint]]
        return values


def _robot_joints(model: mujoco.MjModel) -> set[int]:
    """Return the joints of the robot: those of the tree that begins at base_link."""
    root = model.body('base_link').id
    return {i for i in range(model.njnt) if model.body_rootid[model.jnt_bodyid[i]] == root}
