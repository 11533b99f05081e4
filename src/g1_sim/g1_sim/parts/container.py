# SPDX-License-Identifier: Apache-2.0
"""Open boxes that things are put into."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from g1_description.mjcf import SCENE_CONTYPE
from g1_sim.scene import Rgba
from g1_sim.world import World

Array = NDArray[np.float64]

_ROBOT_AND_SCENE = 3
_WALL = 0.004
_FLOOR = 0.005
# How far the centre of a thing that stands or lies inside may be above half its height.
_SLACK = 0.03


@dataclass(frozen=True)
class OpenBox:
    """A box without a lid that stands fixed; m and rad, base_link.

    Its own frame: origin at the middle of its floor's upper face, z up, turned by yaw.
    """

    centre: tuple[float, float, float]
    """Origin of its frame."""
    yaw: float
    half: tuple[float, float]
    """Half its inner length and width, along its own x and y."""
    depth: float
    """From the floor up to the rim."""

    @property
    def rim(self) -> float:
        """Height of the rim."""
        return self.centre[2] + self.depth

    @property
    def outline(self) -> Array:
        """Corners and middles of its walls' outer faces from above, (8, 2)."""
        x, y = self.half[0] + 2 * _WALL, self.half[1] + 2 * _WALL
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        around = [(i * x, j * y) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
        return np.array([
            [self.centre[0] + cos * u - sin * v, self.centre[1] + sin * u + cos * v]
            for u, v in around])

    def distance(self, point: Array) -> float:
        """Return how far outside its walls a point, (2,), is, seen from above."""
        x, y, _ = self.local(np.array([*point, 0.0]))
        return float(np.hypot(max(abs(x) - self.half[0] - 2 * _WALL, 0.0),
                              max(abs(y) - self.half[1] - 2 * _WALL, 0.0)))

    def local(self, point: Array) -> Array:
        """Return a point, (3,) base_link, in the box's own frame."""
        x, y, z = point - np.array(self.centre)
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        return np.array([cos * x + sin * y, cos * y - sin * x, z])

    def holds(self, world: World, name: str, height: float) -> bool:
        """Whether an item is inside: standing or lying on the floor, not leaning over the rim.

        Args:
            world: The world they are in.
            name: The item, its origin at the middle of its base.
            height: Of the item.
        """
        middle = world.body_position(name) + world.body_rotation(name)[:, 2] * height / 2
        x, y, z = self.local(middle)
        return bool(abs(x) < self.half[0] and abs(y) < self.half[1]
                    and 0.0 < z < height / 2 + _SLACK)


def add_open_box(
    spec: mujoco.MjSpec, name: str, box: OpenBox, rgba: Rgba,
) -> None:
    """Add a box of a floor and four walls to a scene; it does not move."""
    (x, y), depth = box.half, box.depth
    turn = (np.cos(box.yaw / 2), 0.0, 0.0, np.sin(box.yaw / 2))
    cos, sin = np.cos(box.yaw), np.sin(box.yaw)
    middle = (depth - _FLOOR) / 2
    tall = (depth + _FLOOR) / 2
    parts = {
        'floor': ((0.0, 0.0, -_FLOOR / 2), (x, y, _FLOOR / 2)),
        'front': ((-x - _WALL, 0.0, middle), (_WALL, y + 2 * _WALL, tall)),
        'back': ((x + _WALL, 0.0, middle), (_WALL, y + 2 * _WALL, tall)),
        'left': ((0.0, y + _WALL, middle), (x, _WALL, tall)),
        'right': ((0.0, -y - _WALL, middle), (x, _WALL, tall)),
    }
    for part, ((dx, dy, dz), size) in parts.items():
        place = np.array(box.centre) + np.array([cos * dx - sin * dy, sin * dx + cos * dy, dz])
        spec.worldbody.add_geom(
            name=f'{name}/{part}', type=mujoco.mjtGeom.mjGEOM_BOX, pos=place, quat=turn,
            size=size, rgba=rgba, contype=SCENE_CONTYPE, conaffinity=_ROBOT_AND_SCENE,
            friction=(0.8, 0.005, 0.0001))


def floor_above(surface: float) -> float:
    """Return the height of the floor, m, of a box that stands on a surface."""
    return surface + _FLOOR
