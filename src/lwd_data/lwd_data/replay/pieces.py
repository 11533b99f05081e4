# SPDX-License-Identifier: Apache-2.0
"""Where the steps of an episode lie: stretches of consecutive rows of blocks."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

Int = NDArray[np.int64]


class Pieces:
    """From step to (block, row). A piece is a stretch of steps that are consecutive rows."""

    def __init__(self, block: Int, row: Int) -> None:
        """Find the pieces.

        Args:
            block: (T,) in which block each step lies.
            row: (T,) its row there.
        """
        breaks = np.flatnonzero((np.diff(block) != 0) | (np.diff(row) != 1)) + 1
        starts = np.concatenate(([0], breaks)) if len(block) else breaks
        self.length = len(block)
        """T."""
        # Lists: single numbers are looked up thousands of times a batch.
        self._start: list[int] = starts.tolist()
        self._end: list[int] = [*self._start[1:], self.length]
        self._block: list[int] = block[starts].tolist()
        self._row: list[int] = row[starts].tolist()

    def find(self, step: int) -> tuple[int, int]:
        """Return block and row of a step."""
        piece = bisect_right(self._start, step) - 1
        return self._block[piece], self._row[piece] + step - self._start[piece]

    def slices(self, start: int, stop: int) -> list[tuple[int, slice]]:
        """Return the blocks and rows of steps start .. stop - 1, in order."""
        piece = bisect_right(self._start, start) - 1
        found = []
        while start < stop:
            end = min(stop, self._end[piece])
            row = self._row[piece] + start - self._start[piece]
            found.append((self._block[piece], slice(row, row + end - start)))
            start, piece = end, piece + 1
        return found
