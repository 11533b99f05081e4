# SPDX-License-Identifier: Apache-2.0
"""Things that a hand can hold: shapes, sizes, colours, and how they are added to a scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import mujoco
import numpy as np

from g1_description.mjcf import SCENE_CONTYPE

Kind = Literal['can', 'bottle', 'carton']
KINDS: tuple[Kind, ...] = ('can', 'bottle', 'carton')

COLOURS: dict[str, tuple[float, float, float, float]] = {
    'red': (0.80, 0.10, 0.10, 1.0),
    'green': (0.10, 0.55, 0.20, 1.0),
    'blue': (0.10, 0.25, 0.75, 1.0),
    'yellow': (0.90, 0.75, 0.10, 1.0),
    'white': (0.92, 0.92, 0.90, 1.0),
    'purple': (0.45, 0.15, 0.60, 1.0),
}

_ROBOT_AND_SCENE = 3


@dataclass(frozen=True)
class Item:
    """A thing with an upright pose: its body's origin is the centre of its base."""

    name: str
    """Name of its body in the model."""
    kind: Kind
    colour: str
    radius: float
    """Half its width across, m: the radius of a can, half the side of a carton."""
    height: float
    """m."""
    mass: float
    """kg."""
    friction: float = 0.8

    @property
    def label(self) -> str:
        """How an instruction names it."""
        return f'{self.colour} {self.kind}'

    @property
    def grasp_height(self) -> float:
        """Where a hand holds it, m above its base."""
        return min(0.55 * self.height, 0.075)

    @property
    def round(self) -> bool:
        """Whether it can be grasped from any side."""
        return self.kind != 'carton'


def grasp_yaw(item: Item, yaw: float, wanted: float) -> float:
    """Return the yaw, rad, at which a hand meets an item squarely.

    Args:
        item: The item.
        yaw: Its own yaw, rad.
        wanted: Yaw at which the hand reaches it best, rad.
    """
    if item.round:
        return wanted
    quarter = np.pi / 2
    return yaw + quarter * round((wanted - yaw) / quarter)


def add_item(spec: mujoco.MjSpec, item: Item) -> None:
    """Add an item as a free body."""
    body = spec.worldbody.add_body(name=item.name)
    body.add_freejoint(name=item.name)
    rgba = COLOURS[item.colour]
    half = item.height / 2.0
    cylinder, box = mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_BOX
    touch = {
        'contype': SCENE_CONTYPE, 'conaffinity': _ROBOT_AND_SCENE, 'condim': 4,
        'friction': (item.friction, 0.01, 0.0001),
    }
    if item.kind == 'carton':
        body.add_geom(name=item.name, type=box, pos=(0, 0, half), mass=item.mass, rgba=rgba,
                      size=(item.radius, item.radius, half), **touch)
        return
    straight = half if item.kind == 'can' else 0.36 * item.height
    body.add_geom(name=item.name, type=cylinder, pos=(0, 0, straight), mass=item.mass, rgba=rgba,
                  size=(item.radius, straight, 0), **touch)
    if item.kind == 'bottle':
        neck = half - straight
        body.add_geom(name=item.name + '/neck', type=cylinder, pos=(0, 0, 2 * straight + neck),
                      size=(0.4 * item.radius, neck, 0), mass=0.05 * item.mass,
                      rgba=(0.95, 0.95, 0.95, 1), **touch)
