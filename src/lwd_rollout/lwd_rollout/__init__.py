# SPDX-License-Identifier: Apache-2.0
"""Simulated episodes in one process: recorded, pooled, evaluated. No running graph."""
