# SPDX-License-Identifier: Apache-2.0
"""The counter in front of the robot, and what may stand on it for a hand to take.

Lengths in m, angles in rad, frames base_link.
"""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from g1_description.joints import HOME
from g1_sim.postures import LIFT, PITCH, READY_LEFT, mirrored
from g1_sim.scene import Box, add_fixture

Array = NDArray[np.float64]
Colour = tuple[float, float, float, float]

WOOD: Colour = (0.72, 0.56, 0.38, 1.0)
METAL: Colour = (0.70, 0.72, 0.75, 1.0)
# Where on the counter a hand takes things well.
REACH_X = (0.565, 0.685)
REACH_Y = (0.05, 0.26)
_HEAD_PITCH = 0.50
# An open hand, with room to spare.
_HAND_WIDTH = 0.17
# Of the hand and wrist behind what is taken.
_HAND_LENGTH = 0.35


def add_counter(spec: mujoco.MjSpec, height: float, x: float = 0.63) -> Box:
    """Add a counter on two legs; returns its top as a box to keep away from.

    Args:
        spec: The scene's model.
        height: Of its top.
        x: Of its middle.
    """
    top = add_fixture(spec, 'counter', (x, 0, height - 0.02), (0.19, 0.55, 0.02), WOOD)
    for y in (-0.5, 0.5):
        add_fixture(spec, f'leg{y:+}', (x, y, height / 2 - 0.02),
                    (0.15, 0.02, height / 2 - 0.02), METAL)
    return top


def start_posture(
    left: Array = READY_LEFT, lift: float = LIFT, pitch: float = PITCH,
) -> Array:
    """Return (20,) joint positions: both arms ready over the counter, the head looks at it.

    Args:
        left: (7,) angles of the left arm; the right one is its mirror image.
        lift: Of the waist.
        pitch: Of the waist.
    """
    ready = HOME.copy()
    ready[:7] = left
    ready[8:15] = mirrored(left)
    return np.concatenate([ready, [0.0, _HEAD_PITCH, lift, pitch]])


def side_of(y: float) -> int:
    """Return the hand on whose side a spot lies, 0 left or 1 right."""
    return 0 if y > 0.0 else 1


def standing(x: float, y: float, height: float, yaw: float) -> tuple[Array, Array]:
    """Return the pose of a thing that stands on a surface of a height: for Scene.placements."""
    return (np.array([x, y, height + 0.001]),
            np.array([np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)]))


def approach_clear(
    spot: Array, yaw: float, others: Sequence[tuple[Array, float]], *,
    length: float = _HAND_LENGTH,
) -> bool:
    """Whether a hand can come to a spot without touching what stands around it.

    Args:
        spot: (2,) where it grasps.
        yaw: Of its reach.
        others: Obstacles: (2,) centre and radius of each.
        length: Of the part of the hand, back from its TCP, that is low enough to touch them.
    """
    ahead = np.array([np.cos(yaw), np.sin(yaw)])
    for centre, radius in others:
        apart = centre - spot
        along = float(apart @ ahead)
        across = abs(float(apart[0] * ahead[1] - apart[1] * ahead[0]))
        if -length < along < 0.08 and across < _HAND_WIDTH / 2 + radius:
            return False
    return True
