# SPDX-License-Identifier: Apache-2.0
"""The G1 as bodies of a MuJoCo model, from the same table as the URDF."""

from __future__ import annotations

import math
from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from g1_description import joints as j
from g1_description.cameras import CAMERAS
from g1_description.joints import Joint
from g1_description.links import (
    COLOURS,
    FINGER_TRAVEL,
    LINKS,
    TCP,
    Link,
    Shape,
    end_link,
    finger_direction,
)
from g1_description.transforms import rpy_to_quaternion

Array = NDArray[np.float64]

PHYSICS_RATE = 240
"""Steps a second: eight a control step."""
ROBOT_CONTYPE = 1
"""The robot touches the scene (2), not itself: the safety filter keeps its bodies apart."""
SCENE_CONTYPE = 2
TCP_SITES = ('tcp_l', 'tcp_r')

# Stiffness of the position servos, N m/rad (lift N/m): about 40 ms behind a moving target.
_STIFFNESS = {60.0: 1200.0, 30.0: 400.0}
_LIFT_STIFFNESS, _WAIST_STIFFNESS = 6e4, 6e3
_FINGER_STIFFNESS, _FINGER_FORCE = 6000.0, 60.0
_ARMATURE = 0.05


def base_spec() -> mujoco.MjSpec:
    """Return an empty model with the contact settings under which friction grasps hold.

    Settings as measured: elliptic cones, impratio 10, implicitfast and Newton let a held object
    slip 0.7 mm in 10 s, where MuJoCo's defaults let it slip 14 mm.
    """
    spec = mujoco.MjSpec()
    spec.modelname = 'agibot_g1'
    spec.compiler.degree = False
    spec.option.timestep = 1.0 / PHYSICS_RATE
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10.0
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.solver = mujoco.mjtSolver.mjSOL_NEWTON
    spec.visual.quality.offsamples = 0
    return spec


def add_robot(spec: mujoco.MjSpec) -> None:
    """Add the robot, its servos, hand sites and cameras to a model; base_link at the origin."""
    bodies: dict[str, mujoco.MjsBody] = {}
    for link in LINKS:
        parent = spec.worldbody if link.parent is None else bodies[link.parent]
        body = parent.add_body(
            name=link.name, pos=link.xyz, quat=rpy_to_quaternion(link.rpy), mass=link.mass,
            ipos=link.com, inertia=link.inertia, explicitinertial=True, gravcomp=1.0)
        bodies[link.name] = body
        for i, shape in enumerate(link.shapes):
            _geom(body, f'{link.name}/{i}', shape)
        if link.kind == 'finger':
            _finger(body, link)
        elif link.joint is not None:
            _joint(spec, body, link, link.joint)
    for side, site in zip(('l', 'r'), TCP_SITES):
        end = bodies[end_link('l' if side == 'l' else 'r')]
        end.add_site(name=site, pos=TCP, group=4)
        _grip(spec, side)
    for camera in CAMERAS:
        forward, up = np.array(camera.forward), np.array(camera.up)
        matrix = np.column_stack([np.cross(forward, up), up, -forward])
        quaternion = np.empty(4)
        mujoco.mju_mat2Quat(quaternion, matrix.flatten())
        bodies[camera.link].add_camera(
            name=camera.name, pos=camera.xyz, quat=quaternion,
            fovy=math.degrees(camera.fovy), resolution=(camera.width, camera.height))


def _geom(body: mujoco.MjsBody, name: str, shape: Shape) -> None:
    kinds = {
        'box': mujoco.mjtGeom.mjGEOM_BOX,
        'capsule': mujoco.mjtGeom.mjGEOM_CAPSULE,
        'sphere': mujoco.mjtGeom.mjGEOM_SPHERE,
    }
    size = [0.0, 0.0, 0.0]
    if shape.kind == 'capsule':
        radius, length = shape.size
        size[:2] = [radius, length / 2.0 - radius]
    elif shape.kind == 'box':
        size = [length / 2.0 for length in shape.size]
    else:
        size[0] = shape.size[0]
    geom = body.add_geom(
        name=name, type=kinds[shape.kind], size=size, pos=shape.xyz,
        quat=rpy_to_quaternion(shape.rpy), rgba=COLOURS[shape.colour],
        contype=ROBOT_CONTYPE if shape.touches else 0,
        conaffinity=SCENE_CONTYPE if shape.touches else 0, mass=0.0)
    if shape.pad:
        geom.condim = 4
        geom.friction = [1.5, 0.01, 0.0001]
        geom.priority = 1
        geom.solref = [0.004, 1.0]
        geom.solimp = [0.95, 0.99, 0.001, 0.5, 2.0]


def _joint(spec: mujoco.MjSpec, body: mujoco.MjsBody, link: Link, joint: Joint) -> None:
    slides = link.kind == 'prismatic'
    stiffness = _LIFT_STIFFNESS if slides else _STIFFNESS.get(joint.effort, _WAIST_STIFFNESS)
    body.add_joint(
        name=joint.name,
        type=mujoco.mjtJoint.mjJNT_SLIDE if slides else mujoco.mjtJoint.mjJNT_HINGE,
        axis=(0, 0, 1), range=(joint.lower, joint.upper), limited=True,
        armature=_ARMATURE, damping=0.5)
    _servo(spec, joint.name, stiffness, joint.effort)


def _servo(spec: mujoco.MjSpec, joint: str, stiffness: float, force: float) -> None:
    servo = spec.add_actuator(
        name=joint, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT,
        forcerange=(-force, force), forcelimited=True)
    servo.set_to_position(kp=stiffness, dampratio=1.0)


def _finger(body: mujoco.MjsBody, link: Link) -> None:
    body.add_joint(
        name=link.name.replace('_link', '_joint'), type=mujoco.mjtJoint.mjJNT_SLIDE,
        axis=(finger_direction(link), 0, 0), range=(0.0, FINGER_TRAVEL), limited=True,
        armature=0.05, damping=2.0)


def _grip(spec: mujoco.MjSpec, side: str) -> None:
    """Drive one finger and tie the other to it."""
    outer, inner = (f'gripper_{side}_{name}_joint' for name in ('outer', 'inner'))
    spec.add_equality(
        name=f'gripper_{side}_tie', type=mujoco.mjtEq.mjEQ_JOINT, name1=inner, name2=outer,
        data=[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], objtype=mujoco.mjtObj.mjOBJ_JOINT,
        solref=(0.004, 1.0))
    _servo(spec, outer, _FINGER_STIFFNESS, 2 * _FINGER_FORCE)


class RobotIndex:
    """Where the robot's joints, servos and sites stand in a compiled model.

    Positions and targets are in the order and units of STATE_JOINTS; a gripper's joint is its
    closure, which in the model is 1 - opening / FINGER_TRAVEL of its outer finger.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        names = [_model_joint(joint) for joint in j.STATE_JOINTS]
        identities = [model.joint(name).id for name in names]
        self.qpos = np.array([model.jnt_qposadr[i] for i in identities])
        self.dof = np.array([model.jnt_dofadr[i] for i in identities])
        self.servo = np.array([model.actuator(name).id for name in names])
        inner = [f'gripper_{side}_inner_joint' for side in ('l', 'r')]
        self.inner_qpos = np.array([model.jnt_qposadr[model.joint(name).id] for name in inner])
        self.scale = np.ones(len(names))
        self.offset = np.zeros(len(names))
        self.scale[j.GRIPPER_INDICES] = -1.0 / FINGER_TRAVEL
        self.offset[j.GRIPPER_INDICES] = 1.0
        self.tcp = tuple(model.site(name).id for name in TCP_SITES)
        self.arm_dof = (self.dof[0:7], self.dof[8:15])

    def positions(self, data: mujoco.MjData) -> Array:
        """Return joint positions, (20,)."""
        return data.qpos[self.qpos] * self.scale + self.offset

    def velocities(self, data: mujoco.MjData) -> Array:
        """Return joint velocities, (20,)."""
        return data.qvel[self.dof] * self.scale

    def efforts(self, data: mujoco.MjData) -> Array:
        """Return servo forces, (20,): N m; N for the lift and for a gripper's grip."""
        return data.actuator_force[self.servo] * np.sign(self.scale)

    def set_positions(self, data: mujoco.MjData, positions: Sequence[float] | Array) -> None:
        """Place the joints, (20,) or a leading part of it, at rest."""
        count = len(positions)
        values = (np.asarray(positions) - self.offset[:count]) / self.scale[:count]
        data.qpos[self.qpos[:count]] = values
        for inner, outer in zip(self.inner_qpos, j.GRIPPER_INDICES):
            data.qpos[inner] = data.qpos[self.qpos[outer]]

    def targets(self, data: mujoco.MjData) -> Array:
        """Return the servos' targets, (20,)."""
        return data.ctrl[self.servo] * self.scale + self.offset

    def set_targets(self, data: mujoco.MjData, targets: Sequence[float] | Array) -> None:
        """Set the servos' targets, (20,) or a leading part of it."""
        count = len(targets)
        data.ctrl[self.servo[:count]] = (
            (np.asarray(targets) - self.offset[:count]) / self.scale[:count])


def _model_joint(joint: Joint) -> str:
    if joint is j.LEFT_GRIPPER:
        return 'gripper_l_outer_joint'
    if joint is j.RIGHT_GRIPPER:
        return 'gripper_r_outer_joint'
    return joint.name
