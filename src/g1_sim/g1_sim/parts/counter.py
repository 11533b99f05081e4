# SPDX-License-Identifier: Apache-2.0
"""The counter in front of the robot, how one works at it, and what may stand on it.

Lengths in m, angles in rad, frames base_link.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from g1_description.joints import HOME
from g1_sim.postures import LIFT, PITCH, READY_LEFT, mirrored
from g1_sim.scene import Box, Rgba, add_fixture

Array = NDArray[np.float64]

WOOD: Rgba = (0.72, 0.56, 0.38, 1.0)
METAL: Rgba = (0.70, 0.72, 0.75, 1.0)
# Where on the counter a hand takes things well.
REACH_X = (0.565, 0.685)
REACH_Y = (0.05, 0.26)
_HEAD_PITCH = 0.50
# An open hand, with room to spare.
_HAND_WIDTH = 0.17
# Of the hand and wrist behind what is taken.
_HAND_LENGTH = 0.35
_MARK = 0.0005


@dataclass(frozen=True)
class Layout:
    """Places on a counter, given for a leading left hand; mirrored if the right one leads."""

    lead: int
    """The hand that leads: 0 left, 1 right."""
    top: float
    """Height of the counter."""

    @property
    def sign(self) -> float:
        """1 if the left hand leads, else -1."""
        return 1.0 if self.lead == 0 else -1.0

    @property
    def other(self) -> int:
        """The hand that does not lead."""
        return 1 - self.lead

    def spot(self, x: float, y: float, above: float = 0.0) -> Array:
        """Return a place, (3,); y counts towards the leading hand's side."""
        return np.array([x, self.sign * y, self.top + above])


def add_counter(
    spec: mujoco.MjSpec, height: float, *, x: float = 0.63, rgba: Rgba = WOOD,
) -> Box:
    """Add a counter on two legs; returns its top as a box to keep away from.

    Args:
        spec: The scene's model.
        height: Of its top.
        x: Of its middle.
        rgba: Colour of its top.
    """
    top = add_fixture(spec, 'counter', (x, 0, height - 0.02), (0.19, 0.55, 0.02), rgba)
    for y in (-0.5, 0.5):
        add_fixture(spec, f'leg{y:+}', (x, y, height / 2 - 0.02),
                    (0.15, 0.02, height / 2 - 0.02), METAL)
    return top


def add_mark(
    spec: mujoco.MjSpec, name: str, centre: Sequence[float] | Array,
    extent: float | tuple[float, float], rgba: Rgba,
) -> None:
    """Add a coaster or a mat, which nothing bumps into.

    Args:
        spec: The scene's model.
        name: Of its geom.
        centre: (3,).
        extent: Radius of a round one; half the sides along x and y of a rectangular one.
        rgba: Its colour.
    """
    kind = mujoco.mjtGeom.mjGEOM_BOX
    if isinstance(extent, tuple):
        size = (*extent, _MARK)
    else:
        kind, size = mujoco.mjtGeom.mjGEOM_CYLINDER, (extent, _MARK, 0.0)
    spec.worldbody.add_geom(
        name=name, type=kind, pos=centre, size=size, rgba=rgba, contype=0, conaffinity=0)


def start_posture(
    left: Array = READY_LEFT, lift: float = LIFT, pitch: float = PITCH,
    head: float = _HEAD_PITCH,
) -> Array:
    """Return (20,) joint positions: both arms ready over the counter, the head looks at it.

    Args:
        left: (7,) angles of the left arm; the right one is its mirror image.
        lift: Of the waist.
        pitch: Of the waist.
        head: Pitch of the head.
    """
    ready = HOME.copy()
    ready[:7] = left
    ready[8:15] = mirrored(left)
    return np.concatenate([ready, [0.0, head, lift, pitch]])


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
