# SPDX-License-Identifier: Apache-2.0
"""The simulated world: physics of one scene, with its state to save and restore."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from g1_description.joints import COMMAND_JOINTS, limits
from g1_description.links import BASE_LINK
from g1_description.mjcf import PHYSICS_RATE, RobotIndex
from g1_sim.errors import SceneError
from g1_sim.scene import Scene

Array = NDArray[np.float64]

_STATE = mujoco.mjtState.mjSTATE_INTEGRATION
_SETTLE = 0.3
_RESTING = 0.02


class World:
    """A scene in motion. Deterministic: the same scene and targets give the same bits."""

    def __init__(self, scene: Scene) -> None:
        """Compile a scene and let what stands in it come to rest."""
        self.scene = scene
        self.model = scene.spec.compile()
        self.data = mujoco.MjData(self.model)
        self.index = RobotIndex(self.model)
        self.bodies = {name: self.model.body(name).id for name in scene.placements}
        self._robot = self.model.body(BASE_LINK).id
        self._lower, self._upper = limits(COMMAND_JOINTS)
        self._hinges = [
            address for address, kind, body in zip(
                self.model.jnt_qposadr, self.model.jnt_type, self.model.jnt_bodyid)
            if kind != mujoco.mjtJoint.mjJNT_FREE
            and self.model.body_rootid[body] != self._robot]
        self._settle()

    def _settle(self) -> None:
        for name, (position, quaternion) in self.scene.placements.items():
            address = self.model.joint(name).qposadr[0]
            self.data.qpos[address:address + 3] = position
            self.data.qpos[address + 3:address + 7] = quaternion
        self.index.set_positions(self.data, self.scene.posture)
        self.index.set_targets(self.data, self.scene.posture)
        mujoco.mj_step(self.model, self.data, round(_SETTLE * PHYSICS_RATE))
        self.data.time = 0.0
        mujoco.mj_forward(self.model, self.data)

    @property
    def time(self) -> float:
        """Simulated time since the start, s."""
        return float(self.data.time)

    def set_targets(self, targets: Array) -> None:
        """Set the servos' targets, (16,), in the order of COMMAND_JOINTS.

        Raises:
            SceneError: A target is not finite; the simulation would be lost.
        """
        if targets.shape != (16,) or not np.all(np.isfinite(targets)):
            raise SceneError(f'targets must be 16 finite numbers, not {targets}')
        self.index.set_targets(self.data, np.clip(targets, self._lower, self._upper))

    def targets(self) -> Array:
        """Return the servos' targets, (16,): the last command that the robot was sent."""
        return self.index.targets(self.data)[:16]

    def advance(self, steps: int) -> None:
        """Take physics steps of 1 / PHYSICS_RATE s each."""
        mujoco.mj_step(self.model, self.data, steps)

    def refresh(self) -> None:
        """Update poses and contacts to the present joint positions.

        mj_step leaves them at the positions before its last step.
        """
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)

    def positions(self) -> Array:
        """Return joint positions, (20,), in the order of STATE_JOINTS."""
        return self.index.positions(self.data)

    def velocities(self) -> Array:
        """Return joint velocities, (20,)."""
        return self.index.velocities(self.data)

    def efforts(self) -> Array:
        """Return joint efforts, (20,)."""
        return self.index.efforts(self.data)

    def body_position(self, name: str) -> Array:
        """Return a free body's origin, (3,) m, base_link."""
        address = self.model.jnt_qposadr[self.model.body_jntadr[self.bodies[name]]]
        return self.data.qpos[address:address + 3].copy()

    def body_rotation(self, name: str) -> Array:
        """Return a free body's orientation, (3, 3), base_link."""
        address = self.model.jnt_qposadr[self.model.body_jntadr[self.bodies[name]]]
        matrix = np.empty(9)
        mujoco.mju_quat2Mat(matrix, self.data.qpos[address + 3:address + 7])
        return matrix.reshape(3, 3)

    def hand_position(self, side: int) -> Array:
        """Return where the left (0) or right (1) hand grasps, (3,) m, base_link."""
        position: Array = self.data.site_xpos[self.index.tcp[side]].copy()
        return position

    def body_speed(self, name: str) -> float:
        """Return a free body's speed, m/s."""
        address = self.model.jnt_dofadr[self.model.body_jntadr[self.bodies[name]]]
        return float(np.linalg.norm(self.data.qvel[address:address + 3]))

    def joint_position(self, name: str) -> float:
        """Return where a hinge or slide of the scene stands, rad or m."""
        return float(self.data.qpos[self.model.joint(name).qposadr[0]])

    def hinges(self) -> Array:
        """Return where all hinges and slides of the scene stand: doors, lids, buttons."""
        return self.data.qpos[self._hinges].copy()

    def joint_velocity(self, name: str) -> float:
        """Return the velocity of a hinge or slide of the scene, rad/s or m/s."""
        return float(self.data.qvel[self.model.joint(name).dofadr[0]])

    def resting(self, name: str) -> bool:
        """Whether a free body has come to rest."""
        return self.body_speed(name) < _RESTING

    def touched_by_robot(self, name: str) -> bool:
        """Whether a link of the robot is in contact with a free body."""
        body = self.bodies[name]
        pairs = self.model.geom_bodyid[self.data.contact.geom[:self.data.ncon]]
        others = pairs[np.any(pairs == body, axis=1)]
        return bool(np.any(self.model.body_rootid[others] == self._robot))

    def touches_something_loose(self) -> bool:
        """Whether a link of the robot is in contact with a body that can move: an item, a door."""
        pairs = self.model.geom_bodyid[self.data.contact.geom[:self.data.ncon]]
        robot = self.model.body_rootid[pairs] == self._robot
        loose = (self.model.body_weldid[pairs] != 0) & ~robot
        return bool(np.any(robot.any(axis=1) & loose.any(axis=1)))

    def state(self) -> Array:
        """Return everything that the future depends on, as one vector."""
        state = np.empty(mujoco.mj_stateSize(self.model, _STATE))
        mujoco.mj_getState(self.model, self.data, state, _STATE)
        return state

    def restore(self, state: Array) -> None:
        """Go back to a state of this scene.

        Raises:
            SceneError: The vector is of another scene or of another version of MuJoCo.
        """
        size = mujoco.mj_stateSize(self.model, _STATE)
        if state.shape != (size,):
            raise SceneError(
                f'a state of {state.size} numbers does not fit scene {self.scene.task!r} seed '
                f'{self.scene.seed}, which has {size}; load it into the scene it was saved from')
        mujoco.mj_setState(self.model, self.data, state, _STATE)
        mujoco.mj_forward(self.model, self.data)
