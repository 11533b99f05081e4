# SPDX-License-Identifier: Apache-2.0
"""Beside the learner: uploaded segments into the replay catalogue."""
