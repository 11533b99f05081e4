# SPDX-License-Identifier: Apache-2.0
"""The Agibot G1 as data: joints, limits, links, layouts, URDF."""
