# SPDX-License-Identifier: Apache-2.0
"""New policies: from the parts that arrive to the one that runs. No ROS."""
