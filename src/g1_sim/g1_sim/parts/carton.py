# SPDX-License-Identifier: Apache-2.0
"""A cardboard box that stands free, with a lid on a hinge along its far edge."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from g1_sim.scene import Rgba, graspable

WALL = 0.006
"""Thickness of floor, walls and lid, m."""
OPEN = np.deg2rad(100.0)
"""Angle of a lid that leans open, rad; it is closed at 0."""
_DAMPING = 0.12


@dataclass(frozen=True)
class Carton:
    """A box: its body's origin is the middle of its base, x across, y along.

    The hinge runs along y at the top of the wall at +x; the lid closes towards -x.
    """

    name: str
    """Of its body and free joint."""
    lid: str
    """Of the lid's body and joint, rad."""
    half_x: float
    """Half the room inside across, m."""
    half_y: float
    """Half the room inside along, m."""
    height: float
    """Of the walls above the ground, m."""
    mass: float
    """With its lid, kg."""
    hinge_friction: float
    """N m."""
    friction: float = 0.6

    @property
    def outer_x(self) -> float:
        """Half its width outside, m."""
        return self.half_x + WALL

    @property
    def outer_y(self) -> float:
        """Half its length outside, m."""
        return self.half_y + WALL


def add_carton(
    spec: mujoco.MjSpec, carton: Carton, rgba: Rgba,
) -> None:
    """Add a box with its lid open."""
    body = spec.worldbody.add_body(name=carton.name)
    body.add_freejoint(name=carton.name)
    touch = {'type': mujoco.mjtGeom.mjGEOM_BOX, 'rgba': rgba, **graspable(carton.friction)}
    x, y, thin = carton.outer_x, carton.outer_y, WALL / 2
    # The walls stand on the floor, so that only the floor touches what the box stands on.
    middle, rise = (carton.height + WALL) / 2, (carton.height - WALL) / 2
    for name, position, size in (
            ('floor', (0, 0, thin), (x, y, thin)),
            ('near', (thin - x, 0, middle), (thin, y, rise)),
            ('far', (x - thin, 0, middle), (thin, y, rise)),
            ('left', (0, y - thin, middle), (x - WALL, thin, rise)),
            ('right', (0, thin - y, middle), (x - WALL, thin, rise))):
        body.add_geom(name=f'{carton.name}/{name}', pos=position, size=size,
                      mass=0.16 * carton.mass, **touch)
    lid = body.add_body(
        name=carton.lid, pos=(x, 0, carton.height),
        quat=(np.cos(OPEN / 2), 0.0, np.sin(OPEN / 2), 0.0))
    lid.add_joint(
        name=carton.lid, type=mujoco.mjtJoint.mjJNT_HINGE, axis=(0, 1, 0), range=(0.0, OPEN),
        limited=True, ref=OPEN, frictionloss=carton.hinge_friction, damping=_DAMPING,
        armature=0.001)
    lid.add_geom(name=carton.lid, pos=(-x, 0, thin), size=(x, y, thin), mass=0.2 * carton.mass,
                 **touch)
