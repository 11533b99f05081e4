# SPDX-License-Identifier: Apache-2.0
"""The three policy cameras of the G1.

Poses: community measurements (fiveages-sim/robot_descriptions); the maker publishes none. Fields
of view: data sheets of the RealSense D455 (head) and D405 (wrists), which they resemble.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from g1_description.errors import UnknownNameError
from g1_description.links import Vector


@dataclass(frozen=True)
class Camera:
    """A colour camera, fixed to a link."""

    name: str
    link: str
    xyz: Vector
    """Optical centre in the link's frame, m."""
    forward: Vector
    """Optical axis in the link's frame."""
    up: Vector
    """Up in the image, in the link's frame."""
    width: int
    height: int
    """Native size, pixels."""
    fovy: float
    """Vertical field of view, rad."""
    sdk_name: str
    """Its name in a2d_sdk."""

    @property
    def frame(self) -> str:
        """The optical frame of REP-103: z forward, x right, y down."""
        return f'{self.name}_camera_optical_frame'

    def intrinsics(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Return (fx, fy, cx, cy), pixels, of the image cropped to an aspect and resized."""
        focal = self.focal(width, height)
        return focal, focal, (width - 1) / 2.0, (height - 1) / 2.0

    def focal(self, width: int, height: int) -> float:
        """Return the focal length, pixels, of the centre crop of that aspect, resized."""
        native = self.height / 2.0 / math.tan(self.fovy / 2.0)
        return native * max(width / self.width, height / self.height)

    def crop_fovy(self, width: int, height: int) -> float:
        """Return the vertical field of view, rad, of that crop."""
        return 2.0 * math.atan(height / 2.0 / self.focal(width, height))


_WRIST_FORWARD = (0.0, 0.43838, 0.89879)
_WRIST_UP = (0.0, -0.89879, 0.43838)

CAMERAS = (
    Camera('head', 'head_link2', (0.103, -0.0421, 0.0), (1.0, 0.0, 0.0), (0.0, -1.0, 0.0),
           1280, 720, math.radians(65.0), 'head'),
    Camera('left_wrist', 'arm_l_end_link', (0.0, -0.07932, 0.108617), _WRIST_FORWARD,
           _WRIST_UP, 848, 480, math.radians(58.0), 'hand_left'),
    Camera('right_wrist', 'arm_r_end_link', (0.0, -0.07932, 0.108617), _WRIST_FORWARD,
           _WRIST_UP, 848, 480, math.radians(58.0), 'hand_right'),
)
CAMERA_NAMES = tuple(camera.name for camera in CAMERAS)


def camera(name: str) -> Camera:
    """Return a camera by name.

    Raises:
        UnknownNameError: The robot has no such camera.
    """
    for candidate in CAMERAS:
        if candidate.name == name:
            return candidate
    raise UnknownNameError('camera', name, CAMERA_NAMES)
