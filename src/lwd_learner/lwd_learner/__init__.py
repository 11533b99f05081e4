# SPDX-License-Identifier: Apache-2.0
"""The learner: DIVL, QAM, dynamic n-step TD, baselines, trainer. No ROS."""
