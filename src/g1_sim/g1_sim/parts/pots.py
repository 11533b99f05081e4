# SPDX-License-Identifier: Apache-2.0
"""Upright round vessels, pots with loose lids, and where a vessel pours.

Liquids are not simulated: a vessel pours while it is tilted with its mouth over another.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from g1_description.mjcf import SCENE_CONTYPE
from g1_sim.world import World

Array = NDArray[np.float64]
Rgba = tuple[float, float, float, float]

_ROBOT_AND_SCENE = 3
_CYLINDER, _BOX = mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_BOX
_POURING = float(np.cos(np.pi / 3))
_ABOVE = 0.18


@dataclass(frozen=True)
class Vessel:
    """A cup, jug or kettle, held around its body: the body's origin is the centre of its base."""

    name: str
    """Name of its free body and joint."""
    radius: float
    """m."""
    height: float
    """m."""
    mass: float
    """kg."""
    rgba: Rgba
    content: Rgba
    """Colour of what is seen in its mouth."""
    friction: float = 0.8

    @property
    def grasp_height(self) -> float:
        """Where a hand holds it, m above its base."""
        return 0.42 * self.height


@dataclass(frozen=True)
class Lid:
    """A round lid with a plug below and a knob above: its origin is the centre of its rim."""

    name: str
    """Name of its free body and joint."""
    radius: float
    """Of the rim, m."""
    plug: float
    """Radius of what goes into the pot's mouth, m."""
    rgba: Rgba
    knob: float = 0.016
    """Radius of the knob, m."""
    friction: float = 0.8

    depth = 0.012
    """Height of the plug, m."""
    grasp_height = 0.034
    """Where a hand holds the knob, m above the origin."""


@dataclass(frozen=True)
class Pot:
    """A fixed square pot, open at the top, m in base_link."""

    centre: tuple[float, float]
    floor: float
    """Height of what it stands on."""
    inner: float
    """Half the width of its mouth."""
    height: float

    wall = 0.004
    """Half the thickness of a wall."""

    @property
    def rim(self) -> float:
        """Height of its rim, m."""
        return self.floor + self.height

    def holds(self, position: Array) -> bool:
        """Whether a point lies in it, (3,) m."""
        inside = np.abs(position[:2] - self.centre) < self.inner
        return bool(inside.all() and self.floor < position[2] < self.rim)


def add_vessel(spec: mujoco.MjSpec, vessel: Vessel) -> None:
    """Add a vessel as a free body: a solid one that shows what is in it."""
    body = spec.worldbody.add_body(name=vessel.name)
    body.add_freejoint(name=vessel.name)
    half = vessel.height / 2.0
    body.add_geom(name=vessel.name, type=_CYLINDER, pos=(0, 0, half), mass=vessel.mass,
                  size=(vessel.radius, half, 0), rgba=vessel.rgba, **_touch(vessel.friction))
    body.add_geom(name=vessel.name + '/content', type=_CYLINDER, pos=(0, 0, vessel.height),
                  size=(0.85 * vessel.radius, 0.0008, 0), mass=0.0, rgba=vessel.content,
                  contype=0, conaffinity=0)


def add_lid(spec: mujoco.MjSpec, lid: Lid) -> None:
    """Add a lid as a free body."""
    body = spec.worldbody.add_body(name=lid.name)
    body.add_freejoint(name=lid.name)
    rim, knob = 0.005, 0.023
    for part, size, height, mass in (
            ('', (lid.radius, rim, 0), rim, 0.08),
            ('/plug', (lid.plug, lid.depth / 2.0, 0), -lid.depth / 2.0, 0.04),
            ('/knob', (lid.knob, knob, 0), 2.0 * rim + knob, 0.03)):
        body.add_geom(name=lid.name + part, type=_CYLINDER, pos=(0, 0, height), size=size,
                      mass=mass, rgba=lid.rgba, **_touch(lid.friction))


def add_pot(spec: mujoco.MjSpec, name: str, pot: Pot, rgba: Rgba) -> None:
    """Add a pot: four walls on what it stands on."""
    x, y = pot.centre
    reach, half = pot.inner + pot.wall, pot.height / 2.0
    for i, (dx, dy) in enumerate(((1, 0), (-1, 0), (0, 1), (0, -1))):
        size = (pot.wall, reach + pot.wall, half) if dx else (pot.inner, pot.wall, half)
        spec.worldbody.add_geom(
            name=f'{name}/{i}', type=_BOX, size=size, rgba=rgba, friction=(0.5, 0.005, 0.0001),
            pos=(x + dx * reach, y + dy * reach, pot.floor + half),
            contype=SCENE_CONTYPE, conaffinity=_ROBOT_AND_SCENE)


def add_mark(
    spec: mujoco.MjSpec, name: str, centre: Array, radius: float, rgba: Rgba,
) -> None:
    """Add a coaster or mat, too flat to matter for contact; centre is (3,) m, base_link."""
    spec.worldbody.add_geom(name=name, type=_CYLINDER, pos=centre, size=(radius, 0.0005, 0),
                            rgba=rgba, contype=0, conaffinity=0)


def mouth(world: World, vessel: Vessel) -> Array:
    """Return the centre of a vessel's mouth, (3,) m, base_link."""
    up = world.body_rotation(vessel.name)[:, 2]
    result: Array = world.body_position(vessel.name) + vessel.height * up
    return result


def upright(world: World, name: str) -> bool:
    """Whether a free body stands within 18 degrees of upright."""
    return bool(world.body_rotation(name)[2, 2] > 0.95)


def pours(world: World, source: Vessel, target: Array, radius: float) -> bool:
    """Whether a vessel is tilted by 60 degrees and more with its mouth over a target.

    Args:
        world: The world.
        source: The vessel that pours.
        target: Centre of the mouth that it pours into, (3,) m, base_link.
        radius: Of that mouth, m.
    """
    if world.body_rotation(source.name)[2, 2] > _POURING:
        return False
    away = mouth(world, source) - target
    return bool(np.hypot(away[0], away[1]) < radius + 0.015 and 0.0 < away[2] < _ABOVE)


def _touch(friction: float) -> dict[str, object]:
    return {'contype': SCENE_CONTYPE, 'conaffinity': _ROBOT_AND_SCENE, 'condim': 4,
            'friction': (friction, 0.01, 0.0001)}
