# SPDX-License-Identifier: Apache-2.0
"""Teleoperation: from a pad or leader arms to joint targets."""
