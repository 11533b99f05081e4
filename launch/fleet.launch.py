# SPDX-License-Identifier: Apache-2.0
"""A simulated fleet: `ros2 launch launch/fleet.launch.py`, with --show-args for its arguments."""

from launch import LaunchDescription

from lwd_bringup.ros_launch import describe


def generate_launch_description() -> LaunchDescription:
    """Describe what `lwd up fleet` starts."""
    return describe('fleet')
