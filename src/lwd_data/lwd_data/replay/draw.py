# SPDX-License-Identifier: Apache-2.0
"""Which windows a batch draws: of which origin and task, and which of theirs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lwd_data.replay.records import ORIGINS

Int = NDArray[np.int64]

_ONLINE = ORIGINS.index('online')


class Draw:
    """Draws from groups; a group is the windows of one origin and task."""

    def __init__(
        self, origin: Int, count: Int, *, online_ratio: float, balance_tasks: bool,
    ) -> None:
        """Prepare.

        Args:
            origin: (G,) index into ORIGINS of each group.
            count: (G,) windows of each group, at least 1.
            online_ratio: Share of the fleet's windows where there are both origins.
            balance_tasks: Whether groups of one origin get equal shares.
        """
        self._count = count
        self._balance = balance_tasks
        self._groups = [np.flatnonzero(origin == k) for k in range(len(ORIGINS))]
        there = [len(groups) > 0 for groups in self._groups]
        self._ratio = online_ratio if all(there) else float(there[_ONLINE])

    def __call__(
        self, seed: int, step: int, total: int, first: int, size: int,
    ) -> tuple[Int, Int]:
        """Return a slice of a global batch: groups (size,), and which window of its group each is.

        Args:
            seed: Of the run.
            step: Of the batch.
            total: Size of the global batch.
            first: Where the slice begins.
            size: Of the slice.
        """
        # Everything is drawn for the global batch, whatever the slice.
        rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, step]))
        phase, position = rng.random(), np.arange(total)
        # Spread evenly, so that any slice has its share to within one window.
        online = np.floor((position + 1) * self._ratio + phase) > np.floor(
            position * self._ratio + phase)
        group = np.empty(total, np.int64)
        for k, groups in enumerate(self._groups):
            rows = np.flatnonzero(online == (k == _ONLINE))
            offset, shares = rng.random(), rng.random(total)
            order = rng.permutation(groups)
            if not len(rows):
                continue
            if self._balance:
                group[rows] = order[(np.arange(len(rows)) + int(offset * len(groups)))
                                    % len(groups)]
            else:
                edges = np.cumsum(self._count[groups])
                group[rows] = groups[np.searchsorted(
                    edges, (shares[:len(rows)] * edges[-1]).astype(np.int64), side='right')]
        within = (rng.random(total) * self._count[group]).astype(np.int64)
        part = slice(first, first + size)
        return group[part], within[part]
