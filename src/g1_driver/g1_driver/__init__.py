# SPDX-License-Identifier: Apache-2.0
"""The driver of the Agibot G1: back ends, safety filter, control loop, node."""
