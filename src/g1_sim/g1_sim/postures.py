# SPDX-License-Identifier: Apache-2.0
"""Arm postures from which tasks start."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Found by a random search for the start from which the hand can follow straight lines to a counter
# and to both boards of a shelf while it stays upright, far from joint limits.
READY_LEFT = np.array([2.36, -0.295, 1.786, 1.085, -0.829, -1.427, -1.981])


def mirrored(left: Array) -> Array:
    """Return the right arm's angles, (7,), for the mirror image of the left arm's."""
    return -left
