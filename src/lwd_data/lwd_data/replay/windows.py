# SPDX-License-Identifier: Apache-2.0
"""Which windows an episode has: pure functions over its columns.

A run is a stretch of steps under one policy version and one source, in which the driver followed
its commands. A chunk lies inside one run. The window of an anchor t spans k H steps, k <= n, and
ends at a state s' that is inside the run or is the first one after it; or it ends with the
episode, if the verdict lies within n H steps. A step is one control tick; `stop` is the number of
steps up to the verdict, or of all known ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwd_msgs.msg import ControlStep

Int = NDArray[np.int64]
Bool = NDArray[np.bool_]

ANCHOR_SOURCES = (
    ControlStep.SOURCE_POLICY, ControlStep.SOURCE_TELEOP, ControlStep.SOURCE_EXPERT)
"""Somebody acts; a robot that holds or is stopped teaches nothing about acting."""


@dataclass(frozen=True)
class Windows:
    """The windows of B anchors."""

    span: Int
    """(B,) steps."""
    ends: Bool
    """(B,) whether the last step of the window ends the episode with a verdict."""
    next: Int
    """(B,) step of the next observation: t + span, or the episode's last step."""


def run_stops(tick: Int, source: NDArray[Any], version: NDArray[Any], active: Bool) -> Int:
    """Return for each step where its run stops (exclusive), (T,).

    Args:
        tick: (T,) ticks; one left out breaks a run.
        source: (T,) who was in control.
        version: (T,) policy versions, as numbers.
        active: (T,) whether the driver followed the command.
    """
    count = len(tick)
    if not count:
        return np.zeros(0, np.int64)
    change = ((np.diff(tick) != 1) | (np.diff(source.astype(np.int64)) != 0)
              | (np.diff(version) != 0) | (active[1:] != active[:-1]))
    stops = np.append(np.flatnonzero(change) + 1, count)
    return stops[np.searchsorted(stops, np.arange(count), side='right')]


def anchors(
    run_stop: Int, source: NDArray[Any], active: Bool, stop: int, verdict: bool, horizon: int,
) -> Bool:
    """Return which steps may begin a window, (T,).

    Args:
        run_stop: (T,) of run_stops.
        source: (T,) who was in control.
        active: (T,) whether the driver followed the command.
        stop: Steps up to the verdict, or of all known ones.
        verdict: Whether the last of them has a terminal verdict.
        horizon: H, steps of a chunk.
    """
    begin = np.arange(len(run_stop))
    # Without a verdict the state behind the chunk must be there.
    last = stop if verdict else stop - 1
    allowed: Bool = (
        (begin + horizon <= np.minimum(run_stop, last))
        & active & np.isin(source, ANCHOR_SOURCES))
    return allowed


def windows(
    anchor: Int, run_stop: Int, stop: Int | int, verdict: Bool | bool, horizon: int, n: Int | int,
) -> Windows:
    """Return the windows of B anchors, each (B,).

    Args:
        anchor: t.
        run_stop: Where the anchor's run stops.
        stop: Of its episode, see `anchors`; one or (B,), as the following two.
        verdict: Of its episode.
        horizon: H.
        n: Chunks that a window may span at most.
    """
    left = stop - anchor
    ends = verdict & (run_stop >= stop) & (left <= n * horizon)
    reachable = (np.minimum(run_stop, stop - 1) - anchor) // horizon
    span = np.where(ends, left, np.minimum(n, reachable) * horizon)
    return Windows(span, ends, np.where(ends, stop - 1, anchor + span))
