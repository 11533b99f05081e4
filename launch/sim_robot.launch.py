# SPDX-License-Identifier: Apache-2.0
"""A simulated G1: `ros2 launch launch/sim_robot.launch.py`, with --show-args for its arguments."""

from launch import LaunchDescription

from lwd_bringup.ros_launch import describe


def generate_launch_description() -> LaunchDescription:
    """Describe what `lwd up sim_robot` starts."""
    return describe('sim_robot')
