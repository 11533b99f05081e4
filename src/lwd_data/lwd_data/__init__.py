# SPDX-License-Identifier: Apache-2.0
"""The episode format: MCAP segments that any ROS tool opens. No nodes, needs no running graph."""

FORMAT_VERSION = 1
"""Of what is in `custom_data` and which topics an episode has; readers refuse newer ones."""
