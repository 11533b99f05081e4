# SPDX-License-Identifier: Apache-2.0
"""An episode as columns over its control steps, joined from the indexes of its segments."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwd_data.replay.index import SegmentIndex
from lwd_data.replay.join import Joined, join
from lwd_data.replay.records import EpisodeRecord
from lwd_data.scene_layout import LAYOUTS
from lwd_msgs.msg import ExecutedCommand

OpenIndex = Callable[[str], SegmentIndex]
Place = tuple[str, int, int]
"""File, offset and length in bytes."""


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
        # Strings: a sampler looks these up thousands of times a batch.
        self._paths = tuple(str(record.path(k)) for k in range(len(record.segments)))
        opened = [indexes(path) for path in self._paths]
        joined: Joined = join(opened, finished=bool(record.label))
        self.versions = joined.versions
        """Policy versions that `version` counts into; '' is none."""
        self.cameras = joined.cameras
        self.layout = joined.layout
        """Of the scene features; empty if it has none."""
        self._length = joined.length
        self._extra = joined.extra
        self._start, self._block, self._row = joined.start, joined.block, joined.row
        self._version_maps = joined.version_maps
        self._camera_maps = joined.camera_maps
        self._reward_step = joined.reward_step
        self._terminal = joined.terminal
        self.rewards = tuple(zip(joined.reward_step.tolist(), joined.reward_value.tolist()))
        """Step and value of each reward event."""
        verdicts = np.flatnonzero(self._terminal)
        self.verdict = bool(len(verdicts))
        """Whether a terminal verdict is known."""
        self.stop = int(self._reward_step[verdicts[0]]) + 1 if self.verdict else self._length
        """Steps up to the first terminal verdict; T if there is none."""
        self.outcome = int(self._terminal[verdicts[0]]) if self.verdict else 0
        """Reward.TERMINAL_* of the episode; 0 if it has no verdict (yet)."""

    def __len__(self) -> int:
        """Return T."""
        return self._length

    def read(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Return rows of a column of ROW_COLUMNS.

        Args:
            name: Of the column; version and the image columns have accessors of their own.
            start: First step.
            stop: Behind the last step; T by default.
        """
        stop = self._length if stop is None else stop
        piece = bisect_right(self._start, start) - 1
        parts = []
        while start < stop:
            end = min(stop, self._end(piece))
            row = self._row[piece] + start - self._start[piece]
            parts.append(self._column(piece, name)[row:row + end - start])
            start, piece = end, piece + 1
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else self._extra[name][:0]

    def _end(self, piece: int) -> int:
        return self._start[piece + 1] if piece + 1 < len(self._start) else self._length

    def _column(self, piece: int, name: str) -> NDArray[Any]:
        block = self._block[piece]
        if block == len(self._paths):
            return self._extra[name]
        return self._indexes(self._paths[block])[name]

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
        codes = np.zeros(self._length, np.int32)
        for piece, start in enumerate(self._start):
            end = self._end(piece)
            row = self._row[piece]
            found = self._column(piece, 'version')[row:row + end - start]
            codes[start:end] = self._version_maps[self._block[piece]][found]
        return codes

    @property
    def reward(self) -> NDArray[np.float64]:
        """(T,)."""
        rewards = np.zeros(self._length)
        for step, value in self.rewards:
            rewards[step] = value
        return rewards

    @property
    def terminal(self) -> NDArray[np.uint8]:
        """(T,) Reward.TERMINAL_*."""
        terminal = np.zeros(self._length, np.uint8)
        terminal[self._reward_step] = self._terminal
        return terminal

    @property
    def has_scene(self) -> NDArray[np.bool_]:
        """(T,) whether scene features were recorded."""
        found: NDArray[np.bool_] = self.read('scene_offset') >= 0
        return found

    def scene_place(self, step: int) -> Place | None:
        """Return where a step's scene features lie, little-endian float32; None if nowhere."""
        piece = bisect_right(self._start, step) - 1
        row = self._row[piece] + step - self._start[piece]
        offset = int(self._column(piece, 'scene_offset')[row])
        if offset < 0:
            return None
        block = self._block[piece]
        if block == len(self._paths):
            block = int(self._extra['scene_segment'][row])
        return self._paths[block], offset, 4 * LAYOUTS[self.layout].size

    def has_image(self, camera: str) -> NDArray[np.bool_]:
        """Return whether the image that each step's policy saw was recorded, (T,)."""
        if camera not in self.cameras:
            return np.zeros(self._length, bool)
        stamps = np.concatenate([
            self._image_stamps(piece, camera, start, self._end(piece))
            for piece, start in enumerate(self._start)] or [np.zeros(0, np.int64)])
        there = np.concatenate([
            self._indexes(self._paths[k]).image(camera)[0]
            for k in range(len(self._paths))])
        return np.isin(stamps, there)

    def _image_stamps(self, piece: int, camera: str, start: int, stop: int) -> NDArray[np.int64]:
        row = self._row[piece] + start - self._start[piece]
        column = self._camera_maps[self._block[piece]].get(camera)
        if column is None:
            return np.full(stop - start, -1, np.int64)
        return self._column(piece, 'image_stamp')[row:row + stop - start, column]

    def image_row(self, step: int, camera: str) -> tuple[int, int] | None:
        """Return which image a step's policy saw.

        Returns:
            The number of its segment, and of the image among the camera's in that segment; None if
            it was not recorded.
        """
        piece = bisect_right(self._start, step) - 1
        stamp = int(self._image_stamps(piece, camera, step, step + 1)[0])
        if stamp < 0:
            return None
        count = len(self._paths)
        block = min(self._block[piece], count - 1)
        # Nearly always in the step's own segment, else in the one before.
        for k in (block, *range(block - 1, -1, -1), *range(block + 1, count)):
            stamps = self._indexes(self._paths[k]).image(camera)[0]
            at = int(np.searchsorted(stamps, stamp))
            if at < len(stamps) and stamps[at] == stamp:
                return k, at
        return None

    def image_place(self, step: int, camera: str) -> Place | None:
        """Return where the JPEG lies that a step's policy saw; None if it was not recorded."""
        found = self.image_row(step, camera)
        if found is None:
            return None
        path = self._paths[found[0]]
        _, offsets, lengths = self._indexes(path).image(camera)
        return path, int(offsets[found[1]]), int(lengths[found[1]])
