# SPDX-License-Identifier: Apache-2.0
"""What rviz shows beside the robot: where its hands are going, who moves them, what it got."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import Point
from numpy.typing import NDArray
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from g1_description.kinematics import ArmKinematics
from lwd_actor.messages import BASE
from lwd_actor.proposal import Source

Array = NDArray[np.float64]

SIDES = ('left', 'right')
COLOURS = {
    Source.POLICY: (0.15, 0.55, 1.0), Source.EXPERT: (0.2, 0.75, 0.35),
    Source.TELEOP: (1.0, 0.6, 0.1), Source.HOLD: (0.65, 0.65, 0.65),
    Source.ESTOP: (0.9, 0.1, 0.1)}
_WIDTH, _TEXT = 0.008, 0.06
_ABOVE = (0.0, 0.0, 1.75)
_LINE = 0.08


class HandPaths:
    """Where commands bring the hands."""

    def __init__(self) -> None:
        """Build the robot's kinematics."""
        self._kinematics = ArmKinematics.of_robot()

    def __call__(self, commands: Array, posture: Array) -> Array:
        """Return the hands' positions, (2, N, 3) m in base_link: left, right.

        Args:
            commands: (N, 16) rad.
            posture: (4,) the joints of head and body: rad, m.
        """
        found = np.empty((2, len(commands), 3))
        for i, command in enumerate(commands):
            self._kinematics.place(np.concatenate([command, posture]))
            for side in (0, 1):
                found[side, i] = self._kinematics.pose(side)[0]
        return found


def _marker(name: str, number: int, kind: int, colour: Sequence[float]) -> Marker:
    marker = Marker(ns=name, id=number, type=kind, action=Marker.ADD)
    marker.header.frame_id = BASE
    red, green, blue = colour
    marker.color = ColorRGBA(r=red, g=green, b=blue, a=1.0)
    marker.pose.orientation.w = 1.0
    return marker


def markers(
    paths: Array, source: Source, lines: Sequence[str],
) -> MarkerArray:
    """Return paths of the hands and lines of text.

    Args:
        paths: (2, N, 3) m in base_link, left and right; N may be 0.
        source: Who is in control: gives the colour.
        lines: Shown above the robot, the first on top.
    """
    found: list[Marker] = []
    for side, path in zip(SIDES, paths):
        marker = _marker(f'path_{side}', 0, Marker.LINE_STRIP, COLOURS[source])
        marker.scale.x = _WIDTH
        marker.points = [Point(x=float(x), y=float(y), z=float(z)) for x, y, z in path]
        if len(path) < 2:
            # A line of one point is refused by rviz.
            marker.action = Marker.DELETE
        found.append(marker)
    for number, line in enumerate(lines):
        text = _marker('text', number, Marker.TEXT_VIEW_FACING, COLOURS[source])
        text.scale.z = _TEXT
        text.pose.position.x, text.pose.position.y = _ABOVE[:2]
        text.pose.position.z = _ABOVE[2] - number * _LINE
        text.text = line
        found.append(text)
    return MarkerArray(markers=found)
