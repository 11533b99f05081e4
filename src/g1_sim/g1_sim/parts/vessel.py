# SPDX-License-Identifier: Apache-2.0
"""Upright round vessels, and when one pours into another.

Nothing flows: a vessel is solid below its socket, and pouring is judged by how it is held. A
body's origin is the centre of its base, z along its axis, as with items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

from g1_sim.scene import Rgba, graspable
from g1_sim.world import World

Array = NDArray[np.float64]

_SIDES = 8
_CYLINDER, _BOX = mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_BOX
# Tilted by more than 60 degrees a vessel pours, with its mouth so little above another, m.
_POURING = float(np.cos(np.pi / 3))
_ABOVE = 0.15


class Pourable(Protocol):
    """What has a mouth at its top: a vessel, a bottle."""

    @property
    def name(self) -> str:
        """Name of its free body."""

    @property
    def radius(self) -> float:
        """Of its body, m."""

    @property
    def height(self) -> float:
        """Of its mouth above its base, m."""

    @property
    def grasp_height(self) -> float:
        """Where a hand holds it, m above its base."""


@dataclass(frozen=True)
class Vessel:
    """A cup, jug or kettle, held around its body; m and kg."""

    name: str
    """Name of its free body and joint."""
    radius: float
    height: float
    grasp_height: float
    """Where a hand holds it, above its base."""
    mass: float
    rgba: Rgba
    friction: float = 0.8
    content: Rgba | None = None
    """Colour of what is seen in its mouth."""
    socket: float = 0.0
    """Depth of an open top in which a lid's plug fits, 0 for none."""
    wall: float = 0.005
    """Thickness of the wall around the socket."""


def add_vessel(spec: mujoco.MjSpec, vessel: Vessel) -> None:
    """Add a vessel as a free body; its socket is a ring of eight walls."""
    body = spec.worldbody.add_body(name=vessel.name)
    body.add_freejoint(name=vessel.name)
    touch = {'rgba': vessel.rgba, **graspable(vessel.friction)}
    half = (vessel.height - vessel.socket) / 2.0
    body.add_geom(name=vessel.name, type=_CYLINDER, size=(vessel.radius, half, 0),
                  pos=(0, 0, half), mass=vessel.mass, **touch)
    if vessel.content is not None:
        body.add_geom(
            name=vessel.name + '/content', type=_CYLINDER, pos=(0, 0, 2.0 * half),
            size=(0.85 * vessel.radius, 0.0008, 0), mass=0.0, rgba=vessel.content,
            contype=0, conaffinity=0)
    if vessel.socket <= 0.0:
        return
    middle = vessel.radius - vessel.wall / 2.0
    width = vessel.radius * float(np.tan(np.pi / _SIDES))
    for i in range(_SIDES):
        angle = 2.0 * np.pi * i / _SIDES
        body.add_geom(
            name=f'{vessel.name}/wall{i}', type=_BOX, mass=0.02 * vessel.mass,
            size=(vessel.wall / 2.0, width, vessel.socket / 2.0),
            pos=(middle * np.cos(angle), middle * np.sin(angle),
                 vessel.height - vessel.socket / 2.0),
            quat=(np.cos(angle / 2.0), 0, 0, np.sin(angle / 2.0)), **touch)


def mouth(world: World, vessel: Pourable) -> Array:
    """Return the centre of a vessel's mouth, (3,) m, base_link."""
    up = world.body_rotation(vessel.name)[:, 2]
    result: Array = world.body_position(vessel.name) + vessel.height * up
    return result


def upright(world: World, name: str) -> bool:
    """Whether a free body stands within 18 degrees of upright."""
    return bool(world.body_rotation(name)[2, 2] > 0.95)


def pours(world: World, source: Pourable, target: Array, radius: float) -> bool:
    """Whether what is in one vessel would run into another mouth.

    Args:
        world: The world.
        source: The vessel that pours.
        target: Centre of the mouth that it pours into, (3,) m, base_link.
        radius: Of that mouth, m.
    """
    if world.body_rotation(source.name)[2, 2] > _POURING:
        return False
    away = mouth(world, source) - target
    return bool(np.hypot(away[0], away[1]) < radius and 0.0 < away[2] < _ABOVE)
