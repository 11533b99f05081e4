# SPDX-License-Identifier: Apache-2.0
"""Vessels to pour from and into, and a lid that fits one of them.

Nothing flows: a vessel is solid below its socket, and pouring is judged by how it is held. Every
body's origin is the centre of its base, z along its axis, as with items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from g1_description.mjcf import SCENE_CONTYPE

Array = NDArray[np.float64]
Colour = tuple[float, float, float, float]

_ROBOT_AND_SCENE = 3
_SIDES = 8
_CYLINDER, _BOX = mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_BOX
_KNOB = (0.0155, 0.045)
_FLANGE = 0.005
# The lower half of a plug is slimmer by this much, so that it finds its way in, m.
_LEAD = 0.004


@dataclass(frozen=True)
class Vessel:
    """An upright cup or glass, m and kg."""

    name: str
    radius: float
    height: float
    grasp_height: float
    """Where a hand holds it, above its base."""
    mass: float
    friction: float = 0.8
    socket: float = 0.0
    """Depth of an open top in which a plug fits, 0 for none."""
    wall: float = 0.005
    """Thickness of the wall around the socket."""


@dataclass(frozen=True)
class Lid:
    """A plug with a flange and a knob, m and kg."""

    name: str
    plug: float
    """Radius of the plug."""
    depth: float
    """Length of the plug."""
    flange: float
    """Radius of the flange."""
    mass: float
    friction: float = 0.8

    @property
    def grasp_height(self) -> float:
        """Where a hand holds its knob, above the plug's lower end."""
        return self.depth + _FLANGE + 0.6 * _KNOB[1]

    @property
    def height(self) -> float:
        """From the plug's lower end to the top of the knob."""
        return self.depth + _FLANGE + _KNOB[1]


def _touch(friction: float) -> dict[str, Any]:
    return {'contype': SCENE_CONTYPE, 'conaffinity': _ROBOT_AND_SCENE, 'condim': 4,
            'friction': (friction, 0.01, 0.0001)}


def add_vessel(spec: mujoco.MjSpec, vessel: Vessel, rgba: Colour) -> None:
    """Add a vessel as a free body; its socket is a ring of eight walls."""
    body = spec.worldbody.add_body(name=vessel.name)
    body.add_freejoint(name=vessel.name)
    half = (vessel.height - vessel.socket) / 2.0
    body.add_geom(name=vessel.name, type=_CYLINDER, size=(vessel.radius, half, 0),
                  pos=(0, 0, half), mass=vessel.mass, rgba=rgba, **_touch(vessel.friction))
    if vessel.socket <= 0.0:
        return
    middle = vessel.radius - vessel.wall / 2.0
    width = vessel.radius * float(np.tan(np.pi / _SIDES))
    for i in range(_SIDES):
        angle = 2.0 * np.pi * i / _SIDES
        body.add_geom(
            name=f'{vessel.name}/wall{i}', type=_BOX, rgba=rgba, mass=0.02 * vessel.mass,
            size=(vessel.wall / 2.0, width, vessel.socket / 2.0),
            pos=(middle * np.cos(angle), middle * np.sin(angle),
                 vessel.height - vessel.socket / 2.0),
            quat=(np.cos(angle / 2.0), 0, 0, np.sin(angle / 2.0)), **_touch(vessel.friction))


def add_lid(spec: mujoco.MjSpec, lid: Lid, rgba: Colour) -> None:
    """Add a lid as a free body."""
    body = spec.worldbody.add_body(name=lid.name)
    body.add_freejoint(name=lid.name)
    knob, tall = _KNOB
    quarter = lid.depth / 4.0
    # The knob weighs little, so that the lid stands firmly on its plug.
    for part, radius, half, at, share in (
            ('lead', lid.plug - _LEAD, quarter, quarter, 0.35),
            ('plug', lid.plug, quarter, 3.0 * quarter, 0.35),
            ('flange', lid.flange, _FLANGE / 2.0, lid.depth + _FLANGE / 2.0, 0.2),
            ('knob', knob, tall / 2.0, lid.depth + _FLANGE + tall / 2.0, 0.1)):
        body.add_geom(name=f'{lid.name}/{part}', type=_CYLINDER, size=(radius, half, 0),
                      pos=(0, 0, at), mass=share * lid.mass, rgba=rgba, **_touch(lid.friction))


def seated(lid: Lid, vessel: Vessel, lid_pose: tuple[Array, Array],
           vessel_pose: tuple[Array, Array]) -> bool:
    """Whether a lid sits in a vessel's socket.

    Args:
        lid: The lid.
        vessel: The vessel.
        lid_pose: Position (3,) m and rotation (3, 3) of the lid.
        vessel_pose: The same of the vessel.
    """
    turned = vessel_pose[1]
    apart = turned.T @ (lid_pose[0] - vessel_pose[0])
    return bool(
        np.hypot(apart[0], apart[1]) < 0.006
        and abs(apart[2] - (vessel.height - lid.depth)) < 0.004
        and float(lid_pose[1][:, 2] @ turned[:, 2]) > 0.98)


def pours(mouth: Array, up: Array, rim: Array, radius: float) -> bool:
    """Whether what is in one vessel would run into another.

    Args:
        mouth: (3,) centre of the opening that is poured from, m.
        up: (3,) axis of that vessel, from its base to its mouth.
        rim: (3,) centre of the other one's rim, m.
        radius: The other one's, m.
    """
    apart = mouth - rim
    # Tilted by more than 60 degrees, over the opening and not far above it.
    return bool(up[2] < 0.5 and np.hypot(apart[0], apart[1]) < radius
                and 0.0 < apart[2] < 0.12)
