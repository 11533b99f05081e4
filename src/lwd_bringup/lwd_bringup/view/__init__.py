# SPDX-License-Identifier: Apache-2.0
"""A recorded episode as one page for a browser: no ROS, no server, no network."""
