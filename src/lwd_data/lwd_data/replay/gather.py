# SPDX-License-Identifier: Apache-2.0
"""Reads the windows of a batch from indexes and bags."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from g1_description.joints import COMMAND_NAMES, STATE_NAMES
from lwd_data.errors import SampleError
from lwd_data.replay.batch import Float, Int, Observations
from lwd_data.replay.images import ImageReader
from lwd_data.replay.table import AnchorTable
from lwd_data.replay.windows import Windows
from lwd_data.scene_layout import LAYOUTS


@dataclass(frozen=True)
class Gathered:
    """What was read of B windows; see Batch."""

    observation: Observations
    next_observation: Observations
    chunk: Float
    rewards: Float


class Gatherer:
    """Reads windows; threads may share it."""

    def __init__(
        self, table: AnchorTable, *, horizon: int, scene: bool, cameras: Sequence[str],
        threads: int,
    ) -> None:
        """Prepare.

        Args:
            table: Of the episodes.
            horizon: H, steps of a chunk.
            scene: Whether to read scene features.
            cameras: Whose images to read.
            threads: That decode them.
        """
        self._table, self._files, self._horizon = table, table.files, horizon
        self._scene_size = LAYOUTS[table.layout].size if scene and table.layout else 0
        # Not made without need: its threads would live as long as the sampler.
        pool = ThreadPoolExecutor(threads, 'decode') if cameras else None
        self._readers = {} if pool is None else {
            camera: ImageReader(camera, self._files, pool, threads) for camera in cameras}

    def __call__(self, episode: Int, anchor: Int, windows: Windows) -> Gathered:
        """Read B windows.

        Args:
            episode: (B,) index into the table's episodes.
            anchor: (B,) t.
            windows: Of these anchors.

        Raises:
            IndexFileError: A file was changed or removed since the table was built.
            SampleError: Images of one camera are not all of one size.
        """
        count, table = len(anchor), self._table
        numbers = episode.tolist()
        ends = [anchor.tolist(), windows.next.tolist()]
        # They are decoded while the rest is read.
        pending = {camera: reader.start([
            (table.episodes[e], t) for steps in ends for e, t in zip(numbers, steps)])
            for camera, reader in self._readers.items()}
        chunk = np.empty((count, self._horizon, len(COMMAND_NAMES)), np.float32)
        rewards = np.zeros((count, int(table.n_steps.max()) * self._horizon), np.float32)
        state = np.empty((2, count, len(STATE_NAMES)), np.float32)
        sent = np.empty((2, count, len(COMMAND_NAMES)), np.float32)
        scene = np.empty((2, count, self._scene_size), np.float32)
        spans = windows.span.tolist()
        # Windows of one episode, then of one segment, follow each other: fewer files are opened.
        for i in np.lexsort((anchor, episode)).tolist():
            columns, t = table.episodes[numbers[i]], ends[0][i]
            for k in (0, 1):
                step = ends[k][i]
                self._observe(numbers[i], step, state[k, i], scene[k, i])
                sent[k, i] = (columns.read('executed', step - 1, step)[0] if step
                              else state[k, i, :len(COMMAND_NAMES)])
            chunk[i] = columns.read('executed', t, t + self._horizon)
            for at, value in columns.rewards:
                if 0 <= at - t < spans[i]:
                    rewards[i, at - t] = value
        images = {camera: one.wait() for camera, one in pending.items()}
        first, second = (
            Observations(
                state[k], sent[k], scene[k],
                {camera: both[k * count:(k + 1) * count] for camera, both in images.items()},
                table.instruction[episode])
            for k in (0, 1))
        return Gathered(first, second, chunk, rewards)

    def _observe(
        self, number: int, step: int, state: NDArray[np.float32], scene: NDArray[np.float32],
    ) -> None:
        columns = self._table.episodes[number]
        rows, row, path = columns.locate(step)
        state[:] = rows['state'][row]
        if self._scene_size:
            offset = int(rows['scene_offset'][row])
            if offset < 0:
                raise SampleError(
                    f'step {step} of {columns.record.folder} has no scene features; it should not '
                    'have been drawn')
            scene[:] = np.frombuffer(
                self._files.read(path, offset, 4 * self._scene_size), '<f4')
