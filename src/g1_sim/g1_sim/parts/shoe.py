# SPDX-License-Identifier: Apache-2.0
"""A shoe: a sole, a heel that a hand can hold, and an upper."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from g1_sim.scene import Rgba, graspable

Array = NDArray[np.float64]

_SOLE = 0.012
_HEEL_HALF = 0.026
_DARK = (0.12, 0.12, 0.13, 1.0)


@dataclass(frozen=True)
class Shoe:
    """A shoe: its body's origin is the middle of its sole, x points to its toe."""

    name: str
    """Of its body and free joint."""
    length: float
    """m."""
    width: float
    """m."""
    height: float
    """Of its heel above the ground, m."""
    mass: float
    """kg."""
    friction: float = 0.8

    @property
    def hold(self) -> Array:
        """Where a hand holds it, (3,) m, in its own frame."""
        return np.array([_HEEL_HALF - self.length / 2, 0.0, 0.72 * self.height])


def add_shoe(spec: mujoco.MjSpec, shoe: Shoe, rgba: Rgba) -> None:
    """Add a shoe as a free body."""
    body = spec.worldbody.add_body(name=shoe.name)
    body.add_freejoint(name=shoe.name)
    touch = {'type': mujoco.mjtGeom.mjGEOM_BOX, **graspable(shoe.friction)}
    half = shoe.width / 2
    rise = (shoe.height - _SOLE) / 2
    front = shoe.length / 2 - _HEEL_HALF
    for name, position, size, share, colour in (
            ('sole', (0, 0, _SOLE / 2), (shoe.length / 2, half, _SOLE / 2), 0.5, _DARK),
            ('heel', (_HEEL_HALF - shoe.length / 2, 0, _SOLE + rise),
             (_HEEL_HALF, half, rise), 0.25, rgba),
            ('upper', (_HEEL_HALF, 0, _SOLE + 0.45 * rise),
             (front, 0.85 * half, 0.45 * rise), 0.25, rgba)):
        body.add_geom(name=f'{shoe.name}/{name}', pos=position, size=size,
                      mass=share * shoe.mass, rgba=colour, **touch)
