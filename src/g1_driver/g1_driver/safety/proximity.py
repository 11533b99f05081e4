# SPDX-License-Identifier: Apache-2.0
"""Distances between the robot's bodies, by MuJoCo's collision detection on the bare robot."""

from __future__ import annotations

import math
from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from g1_description.mjcf import RobotIndex, add_robot, base_spec
from g1_driver.safety.config import SafetyConfig
from g1_sim.scene import Box

Array = NDArray[np.float64]

_HORIZON = 0.06
_BODY, _LEFT, _RIGHT, _BOX = 1, 2, 4, 8
# Shoulders reach nothing, and an arm cannot reach itself: its elbow bends by 85 degrees only.
_SHOULDER = ('arm_l_base_link', 'arm_r_base_link', 'arm_l_link1', 'arm_r_link1')
# Upper arms hang beside the torso; only the links from the elbow on can hit it or a table.
_UPPER = ('arm_l_link2', 'arm_r_link2')


class ProximityModel:
    """The smallest distances between arms, torso, head, base and keep-out boxes."""

    def __init__(
        self, config: SafetyConfig, *, posture: Array, keep_out: Sequence[Box] = (),
    ) -> None:
        """Build the model.

        Args:
            config: The distances to keep.
            posture: (4,) head yaw and pitch rad, lift m, waist pitch rad.
            keep_out: Boxes that forearms and hands keep away from, base_link.
        """
        spec = base_spec()
        add_robot(spec)
        for i, box in enumerate(keep_out):
            spec.worldbody.add_geom(
                name=f'keep-out box {i}', type=mujoco.mjtGeom.mjGEOM_BOX, pos=box.centre,
                size=box.half)
        for body in spec.bodies:
            for geom in body.geoms:
                geom.contype, geom.conaffinity = _group(body.name)
                geom.margin = _HORIZON
                geom.gap = 0.0
        self._model = spec.compile()
        self._data = mujoco.MjData(self._model)
        self._index = RobotIndex(self._model)
        self._posture = posture
        boxed = self._model.geom_contype == _BOX
        self._required = np.where(boxed, config.min_table_distance, config.min_distance)

    def margin(self, positions: Array) -> tuple[float, float, str]:
        """Return (margin, distance, pair) for a command, (16,); see filter.Proximity."""
        self._index.set_positions(self._data, np.concatenate([positions, self._posture]))
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_collision(self._model, self._data)
        if self._data.ncon == 0:
            return math.inf, math.inf, ''
        contact = self._data.contact
        margins = contact.dist - self._required[contact.geom].min(axis=1)
        nearest = int(np.argmin(margins))
        names = [self._model.geom(int(geom)).name.split('/')[0] for geom in contact.geom[nearest]]
        return float(margins[nearest]), float(contact.dist.min()), ' and '.join(names)


def _group(body: str) -> tuple[int, int]:
    """Return (contype, conaffinity) of a body's geoms: who is checked against whom."""
    if body == 'world':
        return _BOX, 0
    if body in _SHOULDER:
        return 0, 0
    side = {'l': _LEFT, 'r': _RIGHT}.get(body.split('_')[1], 0) if '_' in body else 0
    if not side or not body.startswith(('arm_', 'gripper_')):
        return _BODY, 0
    other = _RIGHT if side == _LEFT else 0
    return (side, other) if body in _UPPER else (side, other | _BODY | _BOX)
