# SPDX-License-Identifier: Apache-2.0
"""Frames of video files, read in order and written. PyAV does the work."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lwd_data.errors import ExchangeError
from lwd_data.exchange.recording import Image

Codec = Literal['h264']

_ENCODERS: dict[Codec, tuple[str, dict[str, str]]] = {
    'h264': ('libx264', {'crf': '18', 'preset': 'fast', 'bf': '0'})}
# AV1 is read, not written: as root, SVT-AV1 gives the thread that calls it, and every process that
# it starts from then on, real-time priority 99 (SCHED_FIFO): whatever else runs is starved.
_KEY_EVERY = 2
"""Frames from one key frame to the next: LeRobot's choice, for random access."""
# A recorder may stop its cameras a moment before the joints.
_MISSING_AT_END = 2


@dataclass(frozen=True)
class IndexedVideo:
    """A file whose frame i is that of row i, whatever its stamps."""

    path: Path
    rows: int
    """How many frames there must be."""

    def read(self, rows: Sequence[int]) -> Iterator[Image]:
        """Yield the frames of rows, which never fall.

        Raises:
            ExchangeError: The file is missing, damaged or too short.
        """
        frames, at, frame = _frames(self.path, None), -1, None
        for row in rows:
            while at < row:
                following = next(frames, None)
                if following is None:
                    if frame is not None and self.rows - at - 1 <= _MISSING_AT_END:
                        break
                    raise ExchangeError(
                        f'{self.path} ends after {at + 1} frames, {self.rows} were expected; '
                        'leave the episode out')
                frame, at = following, at + 1
            yield _rgb(frame)


@dataclass(frozen=True)
class TimedVideo:
    """A stretch of a file whose frames are found by their stamps."""

    path: Path
    times_s: Sequence[float]
    """Of each row, in the file's time."""
    tolerance_s: float

    def read(self, rows: Sequence[int]) -> Iterator[Image]:
        """Yield the frames nearest to the times of rows, which never fall.

        Raises:
            ExchangeError: The file is missing or damaged, or no frame is near enough.
        """
        if not rows:
            return
        frames = _frames(self.path, self.times_s[rows[0]])
        frame, following = None, next(frames, None)
        for row in rows:
            time = self.times_s[row]
            while following is not None and (
                    frame is None or abs(following.time - time) <= abs(frame.time - time)):
                frame, following = following, next(frames, None)
            if frame is None or abs(frame.time - time) > self.tolerance_s:
                found = 'none' if frame is None else f'{frame.time:.3f} s'
                raise ExchangeError(
                    f'{self.path} has no frame at {time:.3f} s, the nearest is {found}; it is '
                    'damaged or of another episode. Leave the episode out')
            yield _rgb(frame)


def _frames(path: Path, start_s: float | None) -> Iterator[Any]:
    """Yield decoded frames, from the last key frame at or before a time."""
    import av
    if not path.is_file():
        raise ExchangeError(
            f'there is no video {path}; change cameras in the mapping, choose other --cameras, or '
            'leave the episode out')
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ExchangeError(f'{path} holds no video; leave the episode out')
            stream = container.streams.video[0]
            if start_s and stream.time_base is not None:
                container.seek(
                    max(0, int(start_s / stream.time_base) - 1), stream=stream, backward=True)
            for frame in container.decode(stream):
                if frame.time is not None:
                    yield frame
    except (av.FFmpegError, ValueError) as error:
        raise ExchangeError(f'{path} is damaged: {error}; leave the episode out') from error


def _rgb(frame: Any) -> Image:
    return np.asarray(frame.to_ndarray(format='rgb24'), np.uint8)


class VideoWriter:
    """One video file, its frames at a fixed rate."""

    def __init__(self, path: Path, width: int, height: int, fps: int, codec: Codec) -> None:
        """Begin a file.

        Raises:
            ExchangeError: The codec does not take images of that size.
        """
        import av
        if width % 2 or height % 2:
            raise ExchangeError(
                f'images of {width} x {height} cannot be a video: sides must be even. Export them '
                'as they are: --images jpeg')
        self.path, self.codec, self.frames = path, codec, 0
        # SVT-AV1 tells standard error about itself at length; 1: errors only.
        os.environ.setdefault('SVT_LOG', '1')
        name, options = _ENCODERS[codec]
        path.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(str(path), 'w')
        # av's types do not know that a name of a video codec gives a video stream.
        stream: Any = self._container.add_stream(name, rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, 'yuv420p'
        stream.gop_size = _KEY_EVERY
        stream.codec_context.time_base = Fraction(1, fps)
        self._stream = stream

    def add(self, rgb: Image) -> None:
        """Append a frame, (h, w, 3)."""
        import av
        if rgb.shape[:2] != (self._stream.height, self._stream.width):
            raise ExchangeError(
                f'{self.path}: an image is {rgb.shape[1]} x {rgb.shape[0]}, others '
                f'{self._stream.width} x {self._stream.height}; a video has one size')
        frame = av.VideoFrame.from_ndarray(rgb, format='rgb24')
        frame.pts, frame.time_base = self.frames, self._stream.codec_context.time_base
        self._container.mux(self._stream.encode(frame))
        self.frames += 1

    @property
    def bytes_so_far(self) -> int:
        """Size of the file as far as it is written."""
        return os.path.getsize(self.path) if self.path.exists() else 0

    def close(self) -> None:
        """Finish the file."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
