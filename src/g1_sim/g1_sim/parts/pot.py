# SPDX-License-Identifier: Apache-2.0
"""A fixed square pot, open at the top."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from g1_sim.scene import Rgba, add_fixture

Array = NDArray[np.float64]

# Half the thickness of a wall, m.
_WALL = 0.004


@dataclass(frozen=True)
class Pot:
    """A pot that stands on something, m in base_link."""

    centre: tuple[float, float]
    floor: float
    """Height of what it stands on."""
    inner: float
    """Half the width of its mouth."""
    height: float

    @property
    def rim(self) -> Array:
        """The centre of its mouth, (3,)."""
        return np.array([*self.centre, self.floor + self.height])

    def holds(self, position: Array) -> bool:
        """Whether a point lies in it, (3,)."""
        inside = np.abs(position[:2] - self.centre) < self.inner
        return bool(inside.all() and self.floor < position[2] < self.floor + self.height)


def add_pot(spec: mujoco.MjSpec, name: str, pot: Pot, rgba: Rgba) -> None:
    """Add a pot: four walls on what it stands on."""
    x, y = pot.centre
    reach, half = pot.inner + _WALL, pot.height / 2.0
    for i, (dx, dy) in enumerate(((1, 0), (-1, 0), (0, 1), (0, -1))):
        size = (_WALL, reach + _WALL, half) if dx else (pot.inner, _WALL, half)
        add_fixture(spec, f'{name}/{i}', (x + dx * reach, y + dy * reach, pot.floor + half),
                    size, rgba)
