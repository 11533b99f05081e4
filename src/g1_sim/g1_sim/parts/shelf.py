# SPDX-License-Identifier: Apache-2.0
"""The shelf behind the counter; m, base_link."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco

from g1_sim.parts.counter import METAL, WOOD
from g1_sim.scene import Rgba, add_fixture

SHELF_X = (0.90, 1.14)
"""The front and back edges of its boards."""
_HALF_WIDTH = 0.45


def add_shelf(
    spec: mujoco.MjSpec, heights: Sequence[float], *, above: float = 0.30, rgba: Rgba = WOOD,
) -> None:
    """Add boards between two uprights.

    Args:
        spec: The scene's model.
        heights: Of the boards' tops, from below.
        above: How far the uprights go on over the last board.
        rgba: Colour of the boards.
    """
    middle, half = sum(SHELF_X) / 2, (SHELF_X[1] - SHELF_X[0]) / 2
    tall = heights[-1] + above
    for i, height in enumerate(heights):
        add_fixture(spec, f'board{i}', (middle, 0, height - 0.01), (half, _HALF_WIDTH, 0.01), rgba)
    for y in (-_HALF_WIDTH - 0.01, _HALF_WIDTH + 0.01):
        add_fixture(spec, f'upright{y:+}', (middle, y, tall / 2), (half, 0.01, tall / 2), METAL)
