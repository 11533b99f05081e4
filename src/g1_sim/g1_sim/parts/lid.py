# SPDX-License-Identifier: Apache-2.0
"""A lid: a plug that fits into a mouth, a flange that rests on its rim, a knob to hold it by."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from g1_sim.scene import Rgba, graspable
from g1_sim.world import World

Array = NDArray[np.float64]

_CYLINDER, _CAPSULE = mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_CAPSULE
# Radius and length of the knob, thickness of the flange, m; where on the knob a hand holds it.
_KNOB = (0.0155, 0.052)
_FLANGE = 0.010
_HOLD = 0.030
# The lower half of the plug is slimmer by this much, so that it finds its way in, m.
_LEAD = 0.004
# How far above where it would rest a lid still counts as seated, m.
_PROUD = 0.004
# Cosine of the angle by which it may lean.
_ALIGNED = 0.98


@dataclass(frozen=True)
class Lid:
    """A lid, m and kg: its body's origin is the lower end of its plug, on which it can stand."""

    name: str
    """Name of its free body and joint."""
    plug: float
    """Radius of the plug."""
    depth: float
    """Length of the plug."""
    flange: float
    """Radius of the flange."""
    mass: float
    rgba: Rgba
    friction: float = 0.8

    @property
    def grasp_height(self) -> float:
        """Where a hand holds its knob, above the plug's lower end."""
        return self.depth + _FLANGE + _HOLD

    @property
    def height(self) -> float:
        """From the plug's lower end to the top of the knob."""
        return self.depth + _FLANGE + _KNOB[1]

    def seat(self, rim: Array) -> Array:
        """Return where its origin is, (3,) m, when it sits in an upright mouth of that rim."""
        place: Array = rim - np.array([0.0, 0.0, self.depth])
        return place


def add_lid(spec: mujoco.MjSpec, lid: Lid) -> None:
    """Add a lid as a free body."""
    body = spec.worldbody.add_body(name=lid.name)
    body.add_freejoint(name=lid.name)
    knob, tall = _KNOB
    quarter, stem = lid.depth / 4.0, (tall - knob) / 2.0
    # With its weight in the flange it does not topple.
    for part, kind, radius, half, at, share in (
            ('', _CYLINDER, lid.flange, _FLANGE / 2.0, lid.depth + _FLANGE / 2.0, 0.5),
            ('/lead', _CYLINDER, lid.plug - _LEAD, quarter, quarter, 0.15),
            ('/plug', _CYLINDER, lid.plug, quarter, 3.0 * quarter, 0.15),
            # A capsule, its lower end in the flange: flat pads hold it by two points each, where a
            # cylinder as thin as this would slip.
            ('/knob', _CAPSULE, knob, stem, lid.depth + _FLANGE + stem, 0.2)):
        body.add_geom(
            name=lid.name + part, type=kind, size=(radius, half, 0), pos=(0, 0, at),
            mass=share * lid.mass, rgba=lid.rgba, **graspable(lid.friction))


def seated(world: World, lid: Lid, rim: Array, axis: Array, play: float) -> bool:
    """Whether a lid sits in a mouth.

    Args:
        world: The world.
        lid: The lid.
        rim: Centre of the mouth's rim, (3,) m, base_link.
        axis: (3,) unit vector out of the mouth.
        play: How far off the middle the lid may be, m.
    """
    apart = world.body_position(lid.name) - rim + lid.depth * axis
    along = float(apart @ axis)
    aligned = float(world.body_rotation(lid.name)[:, 2] @ axis) > _ALIGNED
    return bool(
        aligned and abs(along) < _PROUD and np.linalg.norm(apart - along * axis) < play)
