# SPDX-License-Identifier: Apache-2.0
"""A scene: one drawn instance of a task, ready to be simulated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from g1_description.cameras import CAMERAS
from g1_description.mjcf import SCENE_CONTYPE, add_robot, base_spec

Array = NDArray[np.float64]
Distribution = Literal['train', 'deploy']
Rgba = tuple[float, float, float, float]
DISTRIBUTIONS: tuple[Distribution, ...] = ('train', 'deploy')
Phrasing = Literal['train', 'held_out']
PHRASINGS: tuple[Phrasing, ...] = ('train', 'held_out')

_ROBOT_AND_SCENE = 3
_TURNED, _MOVED = 0.012, 0.003
"""How far cameras are turned, rad an axis, and moved, m an axis: standard deviations."""


@dataclass(frozen=True)
class Box:
    """An axis-aligned box that the robot keeps away from, m, base_link."""

    centre: tuple[float, float, float]
    half: tuple[float, float, float]


@dataclass(frozen=True)
class Scene:
    """One instance of a task: what is where, what is asked."""

    task: str
    distribution: Distribution
    seed: int
    instruction: str
    spec: mujoco.MjSpec
    posture: Array
    """(20,) joint positions at the start, in the order of STATE_JOINTS."""
    placements: Mapping[str, tuple[Array, Array]]
    """Free bodies at the start: position (3,) m and quaternion (w, x, y, z), base_link."""
    keep_out: tuple[Box, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the task's judge and expert need to know about this instance."""


def room(*, light: float = 1.0) -> mujoco.MjSpec:
    """Return a model with the robot in a lit, empty room.

    Args:
        light: Brightness of the lamps, 1 for the usual.
    """
    spec = base_spec()
    world = spec.worldbody
    world.add_geom(
        name='floor', type=mujoco.mjtGeom.mjGEOM_PLANE, size=(4, 4, 0.1),
        rgba=(0.62, 0.60, 0.57, 1), contype=SCENE_CONTYPE, conaffinity=_ROBOT_AND_SCENE)
    world.add_geom(
        name='wall', type=mujoco.mjtGeom.mjGEOM_BOX, size=(0.05, 3.0, 1.5), pos=(2.2, 0, 1.5),
        rgba=(0.80, 0.81, 0.78, 1), contype=0, conaffinity=0)
    spec.visual.headlight.ambient = [0.35 * light] * 3
    spec.visual.headlight.diffuse = [0.25 * light] * 3
    for x, y in ((0.2, 1.2), (0.2, -1.2)):
        world.add_light(
            pos=(x, y, 2.6), dir=(0.25, -0.35 * np.sign(y), -1.0), castshadow=False,
            diffuse=[0.45 * light] * 3, specular=[0.1] * 3)
    add_robot(spec)
    return spec


def draw_room(rng: np.random.Generator, *, shifted: bool) -> mujoco.MjSpec:
    """Return a room in the light of a distribution; where it is shifted, cameras have moved, too.

    They no longer look exactly where the robot's description says.

    Args:
        rng: Of the scene; one number is drawn from it.
        shifted: Whether the scene is of the shifted distribution.
    """
    spec = room(light=rng.uniform(0.5, 0.8) if shifted else rng.uniform(0.85, 1.15))
    if shifted:
        knocks = rng.spawn(1)[0]
        for camera in CAMERAS:
            seen = spec.camera(camera.name)
            turn, quaternion = np.empty(4), np.empty(4)
            mujoco.mju_axisAngle2Quat(turn, *_axis_angle(knocks.normal(0.0, _TURNED, 3)))
            mujoco.mju_mulQuat(quaternion, seen.quat, turn)
            seen.quat = quaternion
            seen.pos = seen.pos + knocks.normal(0.0, _MOVED, 3)
    return spec


def _axis_angle(rotation: Array) -> tuple[Array, float]:
    angle = float(np.linalg.norm(rotation))
    return rotation / angle, angle


def graspable(friction: float) -> dict[str, Any]:
    """Return the contact settings of a geom that a hand can hold: it does not twist in the grip.

    Args:
        friction: Against sliding.
    """
    return {'contype': SCENE_CONTYPE, 'conaffinity': _ROBOT_AND_SCENE, 'condim': 4,
            'friction': (friction, 0.01, 0.0001)}


def add_fixture(
    spec: mujoco.MjSpec, name: str, centre: tuple[float, float, float],
    half: tuple[float, float, float], rgba: Rgba,
) -> Box:
    """Add a fixed box, m in base_link; returns it as a box to keep away from."""
    spec.worldbody.add_geom(
        name=name, type=mujoco.mjtGeom.mjGEOM_BOX, pos=centre, size=half, rgba=rgba,
        contype=SCENE_CONTYPE, conaffinity=_ROBOT_AND_SCENE, friction=(0.8, 0.005, 0.0001))
    return Box(centre, half)
