# SPDX-License-Identifier: Apache-2.0
"""A counter that both arms work at, and how a task lays things out on it."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from g1_description.joints import HOME
from g1_sim.postures import LIFT, PITCH, READY_LEFT, mirrored
from g1_sim.scene import Box, add_fixture

Array = NDArray[np.float64]

_HEAD_PITCH = 0.50
_METAL = (0.70, 0.72, 0.75, 1.0)


@dataclass(frozen=True)
class Layout:
    """Places on a counter, given for a leading left hand; mirrored if the right one leads."""

    lead: int
    """The hand that leads: 0 left, 1 right."""
    top: float
    """Height of the counter, m."""

    @property
    def sign(self) -> float:
        """1 if the left hand leads, else -1."""
        return 1.0 if self.lead == 0 else -1.0

    @property
    def other(self) -> int:
        """The hand that does not lead."""
        return 1 - self.lead

    def spot(self, x: float, y: float, above: float = 0.0) -> Array:
        """Return a place, (3,) m in base_link; y counts towards the leading hand's side."""
        return np.array([x, self.sign * y, self.top + above])


def add_counter(
    spec: mujoco.MjSpec, top: float, rgba: tuple[float, float, float, float],
) -> Box:
    """Add a counter with two legs; returns its top as a box to keep away from."""
    box = add_fixture(spec, 'counter', (0.63, 0, top - 0.02), (0.19, 0.55, 0.02), rgba)
    for y in (-0.5, 0.5):
        add_fixture(spec, f'leg{y:+}', (0.63, y, top / 2 - 0.02),
                    (0.15, 0.02, top / 2 - 0.02), _METAL)
    return box


def ready_posture() -> Array:
    """Return the (20,) joint positions from which a counter is worked."""
    ready = HOME.copy()
    ready[:7] = READY_LEFT
    ready[8:15] = mirrored(READY_LEFT)
    return np.concatenate([ready, [0.0, _HEAD_PITCH, LIFT, PITCH]])
