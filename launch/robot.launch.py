# SPDX-License-Identifier: Apache-2.0
"""A real G1: `ros2 launch launch/robot.launch.py`, with --show-args for its arguments."""

from launch import LaunchDescription

from lwd_bringup.ros_launch import describe


def generate_launch_description() -> LaunchDescription:
    """Describe what `lwd up robot` starts."""
    return describe('robot')
