# SPDX-License-Identifier: Apache-2.0
"""The simulated G1: world, cameras, tasks, scripted experts. No ROS."""
