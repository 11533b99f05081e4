# SPDX-License-Identifier: Apache-2.0
"""The learner: `ros2 launch launch/learner.launch.py`, with --show-args for its arguments."""

from launch import LaunchDescription

from lwd_bringup.ros_launch import describe


def generate_launch_description() -> LaunchDescription:
    """Describe what `lwd up learner` starts."""
    return describe('learner')
