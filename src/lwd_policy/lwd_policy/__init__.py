# SPDX-License-Identifier: Apache-2.0
"""The flow policy: networks, normalisation, weights and cards. No ROS."""
