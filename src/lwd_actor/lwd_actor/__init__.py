# SPDX-License-Identifier: Apache-2.0
"""On the robot: who is in control, teleoperation, inference, episodes."""
