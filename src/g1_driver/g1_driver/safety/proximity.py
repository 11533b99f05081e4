# SPDX-License-Identifier: Apache-2.0
"""Distances between the robot's bodies, and between arms and keep-out boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from g1_description.mjcf import RobotIndex, add_robot, base_spec
from g1_driver.safety.clouds import Cloud, RoundedBoxes, cloud, rounded_boxes
from g1_driver.safety.config import SafetyConfig
from g1_sim.scene import Box

Array = NDArray[np.float64]

LOOK_AHEAD = 0.05
"""Margins beyond this count as inf, m."""
REACH = 1.0
"""No point of an arm is farther than this from any of its joints, m; a gripper opens by less."""
# Shoulders reach nothing, and an arm cannot reach itself: its elbow bends by 85 degrees only.
_SHOULDERS = ('arm_l_base_link', 'arm_r_base_link', 'arm_l_link1', 'arm_r_link1')
# Upper arms hang beside the torso; only the links from the elbow on can hit it or a table.
_UPPER = ('arm_l_link2', 'arm_r_link2')


@dataclass(frozen=True)
class Clearance:
    """How close the monitored bodies are."""

    margins: Array
    """(P,) distance beyond what must be kept, m, of all pairs of shapes; inf where far apart."""
    distance: float
    """The smallest distance, m; inf if nothing is near."""
    worst: float
    """The smallest margin, m; inf if nothing is near."""
    pair: str
    """The two bodies with the smallest margin."""


@dataclass(frozen=True)
class _Check:
    """One set of spheres against one set of boxes, and what they must keep."""

    spheres: Cloud
    boxes: RoundedBoxes
    required: float
    rows: NDArray[np.intp]
    """(N,) row of each sphere's geom in the coarse check."""
    columns: NDArray[np.intp]
    """(K,) column of each box in the coarse check."""


class ProximityModel:
    """The distances between arms, torso, head, base and keep-out boxes.

    Against other bodies of the robot an arm counts as spheres that enclose it, against keep-out
    boxes its hands count by their edges. MuJoCo gives the poses; the distances are in closed form.
    """

    def __init__(
        self, config: SafetyConfig, *, posture: Array, keep_out: Sequence[Box] = (),
    ) -> None:
        """Build the model.

        Args:
            config: The distances to keep, and more boxes.
            posture: (4,) head yaw and pitch rad, lift m, waist pitch rad.
            keep_out: Boxes that forearms and hands keep away from, base_link.
        """
        spec = base_spec()
        add_robot(spec)
        boxes = [*keep_out, *config.boxes()]
        for i, box in enumerate(boxes):
            spec.worldbody.add_geom(
                name=f'keep-out box {i}', type=mujoco.mjtGeom.mjGEOM_BOX, pos=box.centre,
                size=box.half)
        self._model = spec.compile()
        self._data = mujoco.MjData(self._model)
        self._index = RobotIndex(self._model)
        self._posture = posture
        parts = _parts(self._model)
        lower = parts['lower left'] + parts['lower right']
        arms = parts['upper left'] + parts['lower left'] + parts['upper right'] + parts[
            'lower right']
        right = parts['upper right'] + parts['lower right']
        everything = right + parts['body'] + parts['box']
        self._arms = np.array(arms, dtype=np.intp)
        self._coarse = rounded_boxes(self._model, everything)
        self._needed = np.full((len(arms), len(everything)), -math.inf)
        self._checks: list[_Check] = []
        self._check(parts['upper left'] + parts['lower left'], right, 'cover',
                    config.min_distance)
        self._check(lower, parts['body'], 'cover', config.min_distance)
        if boxes:
            self._check(lower, parts['box'], 'edges', config.min_table_distance)
        self._size = sum(
            check.spheres.radius.size * check.boxes.radius.size for check in self._checks)

    def _check(
        self, geoms: list[int], others: list[int], kind: Literal['cover', 'edges'],
        required: float,
    ) -> None:
        spheres = cloud(self._model, geoms, kind)
        rows = np.array([int(np.flatnonzero(self._arms == g)[0]) for g in spheres.geom])
        columns = np.array([int(np.flatnonzero(self._coarse.geom == g)[0]) for g in others])
        self._needed[np.ix_(np.unique(rows), columns)] = required
        self._checks.append(_Check(
            spheres, rounded_boxes(self._model, others), required, rows, columns))

    def clearance(self, positions: Array) -> Clearance:
        """Return how close the bodies are at a command, (16,)."""
        self._index.set_positions(self._data, np.concatenate([positions, self._posture]))
        mujoco.mj_kinematics(self._model, self._data)
        # Bounding spheres first: most arms are far from most things.
        bound = self._coarse.distances(self._data, self._data.geom_xpos[self._arms])
        bound -= self._model.geom_rbound[self._arms][:, None]
        near: NDArray[np.bool_] = np.asarray(bound < self._needed + LOOK_AHEAD)
        margins = np.full(self._size, math.inf)
        distance, worst, pair, at = math.inf, math.inf, '', 0
        for check in self._checks:
            size = (check.spheres.radius.size, check.boxes.radius.size)
            block = margins[at:at + size[0] * size[1]].reshape(size)
            at += size[0] * size[1]
            close = np.any(near[:, check.columns], axis=1)[check.rows]
            if not close.any():
                continue
            found = check.boxes.distances(self._data, check.spheres.centres(self._data, close))
            found -= check.spheres.radius[close, None]
            distance = min(distance, float(found.min()))
            block[close] = found - check.required
            if (least := float(block.min())) < worst:
                worst = least
                sphere, box = np.unravel_index(int(block.argmin()), size)
                pair = (f'{self._name(check.spheres.geom[sphere])} and '
                        f'{self._name(check.boxes.geom[box])}')
        return Clearance(margins, distance, worst, pair)

    def _name(self, geom: int) -> str:
        return str(self._model.geom(int(geom)).name).split('/')[0]


def _parts(model: mujoco.MjModel) -> dict[str, list[int]]:
    """Return which geoms belong to what."""
    parts: dict[str, list[int]] = {
        'upper left': [], 'upper right': [], 'lower left': [], 'lower right': [], 'body': [],
        'box': []}
    for geom in range(model.ngeom):
        body = str(model.body(model.geom_bodyid[geom]).name)
        if body in _SHOULDERS or (body != 'world' and not model.geom_contype[geom]):
            # What is only seen keeps no distance.
            continue
        if body == 'world':
            parts['box'].append(geom)
            continue
        for prefix, side in (('l', 'left'), ('r', 'right')):
            if body.startswith((f'arm_{prefix}_', f'gripper_{prefix}_')):
                parts[f'{"upper" if body in _UPPER else "lower"} {side}'].append(geom)
                break
        else:
            parts['body'].append(geom)
    return parts
