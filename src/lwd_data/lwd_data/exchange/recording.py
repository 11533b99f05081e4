# SPDX-License-Identifier: Apache-2.0
"""A recording of another format, in our units: what a source reads, and an episode is made of."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lwd_data.exchange.mapping import DataMapping

Array = NDArray[np.float64]
Image = NDArray[np.uint8]


class Frames(Protocol):
    """The images of one camera in one recording."""

    def read(self, rows: Sequence[int]) -> Iterator[Image | bytes]:
        """Yield the images of rows, which never fall: RGB (h, w, 3), or a JPEG as it was recorded.

        Raises:
            ExchangeError: One of them cannot be read.
        """


@dataclass
class Recording:
    """One episode, T frames at its own rate."""

    where: str
    """The file, for messages."""
    name: str
    """Its folder's name as an episode of ours."""
    task: str
    instruction: str
    label: str
    time_s: Array
    """(T,) rising."""
    state: Array
    """(T, 20) in the order of STATE_JOINTS."""
    command: Array
    """(T, 16) in the order of COMMAND_JOINTS."""
    source: NDArray[np.uint8]
    """(T,) ControlStep.SOURCE_*."""
    cameras: Mapping[str, Frames] = field(default_factory=dict)
    reward: Array | None = None
    """(T,)."""
    terminal: NDArray[np.uint8] | None = None
    """(T,) Reward.TERMINAL_*; None: the label decides, in the last frame."""
    version: Sequence[str] | None = None
    """(T,) policy versions."""
    chunk_id: NDArray[np.int64] | None = None
    """(T,) which of the policy's chunks a command is from, from 1; 0 where it is from none."""
    driver_state: NDArray[np.uint8] | None = None
    """(T,) ExecutedCommand.STATE_*."""
    tick: NDArray[np.int64] | None = None
    """(T,) numbers of the control ticks; None: they are made."""
    scene: NDArray[np.float32] | None = None
    """(T, F)."""
    scene_layout: str = ''
    custom: Mapping[str, str] = field(default_factory=dict)
    """More for custom_data."""


@dataclass(frozen=True)
class Reference:
    """An episode of a source, before it is read."""

    name: str
    """As Recording.name."""
    key: Any
    """For the source."""
    task: str


class Source(Protocol):
    """A data set of another format."""

    name: str
    mapping: DataMapping

    @property
    def cameras(self) -> Collection[str]:
        """Ours that are imported."""

    def episodes(self) -> Sequence[Reference]:
        """Return what there is, in a fixed order."""

    def read(self, reference: Reference) -> Recording:
        """Read an episode; its images when they are asked for.

        Raises:
            ExchangeError: It is damaged, or does not fit the mapping.
        """
