# SPDX-License-Identifier: Apache-2.0
"""A door on a vertical hinge, with a bar to hold it by."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from g1_sim.scene import Rgba, graspable

Array = NDArray[np.float64]

_THICKNESS = 0.020
_BAR_RADIUS = 0.013
_BAR_HALF = 0.075
_WIDEST = 1.75
_DAMPING = 0.15
_METAL = (0.75, 0.76, 0.78, 1.0)


@dataclass(frozen=True)
class Door:
    """A door that is closed in the plane x = hinge x and opens towards the robot (-x)."""

    name: str
    """Of its body and of its joint, whose angle is 0 when closed, rad."""
    hinge: tuple[float, float, float]
    """The hinge's axis at half the door's height, m, base_link; the door's back lies in it."""
    side: int
    """Where the hinge is, seen from the robot: 0 left, 1 right."""
    width: float
    """m."""
    height: float
    """m."""
    grip: float
    """From the hinge to the bar along the door, m."""
    standoff: float
    """From the door's front to the bar's axis, m."""
    mass: float
    """kg."""
    friction: float
    """Dry friction of the hinge, N m."""

    @property
    def sign(self) -> float:
        """1 with the hinge on the left, -1 on the right."""
        return 1.0 if self.side == 0 else -1.0

    def bar(self, angle: float) -> Array:
        """Return the middle of the bar, (3,) m, base_link, at an opening angle, rad."""
        along = np.array([-np.sin(angle), -self.sign * np.cos(angle), 0.0])
        return np.array(self.hinge) + self.grip * along + (
            _THICKNESS + self.standoff) * self.outwards(angle)

    def outwards(self, angle: float) -> Array:
        """Return the direction, (3,), out of the door's front at an opening angle, rad."""
        return np.array([-np.cos(angle), self.sign * np.sin(angle), 0.0])


def add_door(
    spec: mujoco.MjSpec, door: Door, rgba: Rgba,
) -> None:
    """Add a door, closed."""
    body = spec.worldbody.add_body(name=door.name, pos=door.hinge)
    body.add_joint(
        name=door.name, type=mujoco.mjtJoint.mjJNT_HINGE, axis=(0, 0, -door.sign),
        range=(0.0, _WIDEST), limited=True, frictionloss=door.friction, damping=_DAMPING,
        armature=0.01)
    touch = graspable(0.8)
    box, cylinder = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER
    body.add_geom(
        name=door.name, type=box, pos=(-_THICKNESS / 2, -door.sign * door.width / 2, 0),
        size=(_THICKNESS / 2, door.width / 2, door.height / 2), mass=door.mass, rgba=rgba, **touch)
    x, y = -_THICKNESS - door.standoff, -door.sign * door.grip
    body.add_geom(
        name=door.name + '/bar', type=cylinder, pos=(x, y, 0), size=(_BAR_RADIUS, _BAR_HALF, 0),
        mass=0.1, rgba=_METAL, **touch)
    for end, z in (('top', _BAR_HALF), ('bottom', -_BAR_HALF)):
        body.add_geom(
            name=f'{door.name}/{end}', type=box, pos=(x + door.standoff / 2, y, z),
            size=(door.standoff / 2, 0.008, 0.008), mass=0.02, rgba=_METAL, **touch)
