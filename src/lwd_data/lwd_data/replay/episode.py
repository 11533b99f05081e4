# SPDX-License-Identifier: Apache-2.0
"""An episode as columns over its control steps, joined from the indexes of its segments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lwd_data.replay.index import SegmentIndex
from lwd_data.replay.join import join
from lwd_data.replay.records import EpisodeRecord
from lwd_data.replay.tables import NO_STAMP
from lwd_data.scene_layout import LAYOUTS
from lwd_msgs.msg import ExecutedCommand

OpenIndex = Callable[[str], SegmentIndex]
Place = tuple[str, int, int]
"""File, offset and length in bytes."""


class Rows(Protocol):
    """Columns by name."""

    def __getitem__(self, name: str, /) -> NDArray[Any]:
        """Return a column."""


class EpisodeColumns:
    """The T control steps of an episode: every tick that has a state and an answer.

    Columns are read when they are asked for; what is kept is where they lie. Of a running episode
    these are the steps known so far.
    """

    def __init__(self, record: EpisodeRecord, indexes: OpenIndex) -> None:
        """Join the segments of an episode.

        Args:
            record: What the catalogue knows of it.
            indexes: Opens the index of a segment, for example with a cache.

        Raises:
            IndexFileError: An index is missing, or the segments contradict each other.
        """
        self.record = record
        self._indexes = indexes
        # Strings: they are looked up thousands of times a batch.
        self._paths = tuple(str(record.path(k)) for k in range(len(record.segments)))
        joined = join([indexes(path) for path in self._paths], finished=bool(record.label))
        self.versions = joined.versions
        """Policy versions that `version` counts into; '' is none."""
        self.cameras = joined.cameras
        self.layout = joined.layout
        """Of the scene features; empty if it has none."""
        self.rewards = tuple(zip(joined.reward_step.tolist(), joined.reward_value.tolist()))
        """Step and value of each reward event."""
        self._pieces, self._extra = joined.pieces, joined.extra
        self._version_maps, self._camera_maps = joined.version_maps, joined.camera_maps
        self._terminals = tuple(zip(joined.reward_step.tolist(), joined.terminal.tolist()))
        verdicts = [(step, kind) for step, kind in self._terminals if kind]
        self.verdict = bool(verdicts)
        """Whether a terminal verdict is known."""
        self.stop: int = verdicts[0][0] + 1 if verdicts else len(self)
        """Steps up to the first terminal verdict; T if there is none."""
        self.outcome: int = verdicts[0][1] if verdicts else 0
        """Reward.TERMINAL_* of the episode; 0 if it has no verdict (yet)."""

    def __len__(self) -> int:
        """Return T."""
        return self._pieces.length

    def read(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Return rows of a column of ROW_COLUMNS.

        Args:
            name: Of the column; version and the image columns have accessors of their own.
            start: First step.
            stop: Behind the last step; T by default.
        """
        stop = len(self) if stop is None else stop
        parts = [self._rows(block)[name][rows] for block, rows in self._pieces.slices(start, stop)]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else self._rows(0)[name][:0]

    def _rows(self, block: int) -> Rows:
        return self._indexes(self._paths[block]) if block < len(self._paths) else self._extra

    @property
    def tick(self) -> NDArray[np.int64]:
        """(T,)."""
        return self.read('tick')

    @property
    def stamp_ns(self) -> NDArray[np.int64]:
        """(T,) of the tick."""
        return self.read('stamp')

    @property
    def state(self) -> NDArray[np.float64]:
        """(T, 20) measured joints at the tick, in the order of STATE_JOINTS."""
        return self.read('state')

    @property
    def executed(self) -> NDArray[np.float64]:
        """(T, 16) what was sent."""
        return self.read('executed')

    @property
    def requested(self) -> NDArray[np.float64]:
        """(T, 16) what was asked for; NaN where nothing usable was."""
        return self.read('requested')

    @property
    def clipped(self) -> NDArray[np.uint8]:
        """(T, 16) bits of ExecutedCommand.CLIP_*."""
        return self.read('clipped')

    @property
    def source(self) -> NDArray[np.uint8]:
        """(T,) ControlStep.SOURCE_*: who was in control."""
        return self.read('source')

    @property
    def active(self) -> NDArray[np.bool_]:
        """(T,) whether the driver followed the command; not while it held, stopped or homed."""
        active: NDArray[np.bool_] = self.read('driver_state') == ExecutedCommand.STATE_ACTIVE
        return active

    @property
    def chunk_id(self) -> NDArray[np.int64]:
        """(T,) ActionChunk.chunk_id; 0 if none."""
        return self.read('chunk_id')

    @property
    def chunk_index(self) -> NDArray[np.int32]:
        """(T,) index of the step within the chunk."""
        return self.read('chunk_index')

    @property
    def version(self) -> NDArray[np.int32]:
        """(T,) index into versions."""
        return np.concatenate([np.zeros(0, np.int32), *(
            self._version_maps[block][self._rows(block)['version'][rows]]
            for block, rows in self._pieces.slices(0, len(self)))])

    @property
    def reward(self) -> NDArray[np.float64]:
        """(T,)."""
        rewards = np.zeros(len(self))
        for step, value in self.rewards:
            rewards[step] = value
        return rewards

    @property
    def terminal(self) -> NDArray[np.uint8]:
        """(T,) Reward.TERMINAL_*."""
        terminal = np.zeros(len(self), np.uint8)
        for step, kind in self._terminals:
            terminal[step] = kind
        return terminal

    @property
    def has_scene(self) -> NDArray[np.bool_]:
        """(T,) whether scene features were recorded."""
        found: NDArray[np.bool_] = self.read('scene_offset') >= 0
        return found

    def has_image(self, camera: str) -> NDArray[np.bool_]:
        """Return whether the image that each step's policy saw was recorded, (T,)."""
        stamps = [np.zeros(0, np.int64)]
        for block, rows in self._pieces.slices(0, len(self)):
            column = self._camera_maps[block].get(camera)
            stamps.append(
                np.full(rows.stop - rows.start, NO_STAMP) if column is None
                else self._rows(block)['image_stamp'][rows, column])
        there = np.concatenate([self._indexes(path).image(camera)[0] for path in self._paths])
        return np.isin(np.concatenate(stamps), there)

    def locate(self, step: int) -> tuple[Rows, int, str]:
        """Return where a step lies.

        Returns:
            Rows of ROW_COLUMNS, which of them it is, and the file that `scene_offset` is in.
        """
        block, row = self._pieces.find(step)
        if block < len(self._paths):
            path = self._paths[block]
            return self._indexes(path), row, path
        return self._extra, row, self._paths[int(self._extra['scene_segment'][row])]

    def scene_place(self, step: int) -> Place | None:
        """Return where a step's scene features lie, little-endian float32; None if nowhere."""
        rows, row, path = self.locate(step)
        offset = int(rows['scene_offset'][row])
        return None if offset < 0 else (path, offset, 4 * LAYOUTS[self.layout].size)

    def image_row(self, step: int, camera: str) -> tuple[int, int] | None:
        """Return which image a step's policy saw.

        Returns:
            The number of its segment, and of the image among the camera's in that segment; None if
            it was not recorded.
        """
        block, row = self._pieces.find(step)
        column = self._camera_maps[block].get(camera)
        stamp = NO_STAMP if column is None else self._rows(block)['image_stamp'][row, column]
        # Nearly always in the step's own segment, else in the one before.
        own = min(block, len(self._paths) - 1)
        for k in (own, *range(own - 1, -1, -1), *range(own + 1, len(self._paths))):
            stamps = self._indexes(self._paths[k]).image(camera)[0]
            at = int(np.searchsorted(stamps, stamp))
            if at < len(stamps) and stamps[at] == stamp:
                return k, at
        return None

    def image_place(self, step: int, camera: str) -> Place | None:
        """Return where the JPEG lies that a step's policy saw; None if it was not recorded."""
        block, row = self._pieces.find(step)
        column = self._camera_maps[block].get(camera)
        if column is None:
            return None
        rows = self._rows(block)
        offset = int(rows['image_offset'][row, column])
        if offset >= 0:
            return self._paths[block], offset, int(rows['image_length'][row, column])
        found = self.image_row(step, camera)
        if found is None:
            return None
        path = self._paths[found[0]]
        _, offsets, lengths = self._indexes(path).image(camera)
        return path, int(offsets[found[1]]), int(lengths[found[1]])
