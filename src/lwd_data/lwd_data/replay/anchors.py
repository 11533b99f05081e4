# SPDX-License-Identifier: Apache-2.0
"""The anchors of one episode, as stretches of steps that may all begin a window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwd_data.errors import SampleError
from lwd_data.replay import windows
from lwd_data.replay.episode import EpisodeColumns

Bool = NDArray[np.bool_]
Selection = Callable[[EpisodeColumns], Bool]


@dataclass(frozen=True)
class Rule:
    """What makes a step an anchor."""

    horizon: int
    """H, steps of a chunk."""
    scene: bool
    """Whether there must be scene features at both ends of the window."""
    cameras: tuple[str, ...]
    """Whose images must be there at both ends of the window."""
    select: Selection | None
    """Says for each step of an episode, (T,), whether it may; None: all."""


class Stretch(NamedTuple):
    """Anchors first .. first + length - 1, all in one run."""

    first: int
    length: int
    run_stop: int
    source: int
    version: str


@dataclass(frozen=True)
class EpisodeAnchors:
    """What was found in an episode."""

    columns: EpisodeColumns
    rule: Rule
    n: int
    """Chunks that a window might span at most."""
    stretches: tuple[Stretch, ...]
    left_out: int
    """Anchors whose windows lack an observation at one of their ends."""

    def holds(self, rule: Rule, n: int) -> bool:
        """Return whether the same would be found under a rule and another n."""
        # n moves the far end only; it matters where some observations are missing.
        return rule == self.rule and (n == self.n or not self.left_out)


def find_anchors(columns: EpisodeColumns, rule: Rule, n: int) -> EpisodeAnchors:
    """Find the anchors of an episode.

    Raises:
        SampleError: The selection does not fit the episode.
    """
    source, version, active = columns.source, columns.version, columns.active
    run_stop = windows.run_stops(columns.tick, source, version, active)
    allowed = windows.anchors(
        run_stop, source, active, columns.stop, columns.verdict, rule.horizon)
    if rule.select is not None:
        chosen = np.asarray(rule.select(columns))
        if chosen.shape != allowed.shape or chosen.dtype != np.bool_:
            raise SampleError(
                f'the selection gives {chosen.dtype} of shape {chosen.shape} for episode '
                f'{columns.record.name}; it must give bool of shape {allowed.shape}')
        allowed &= chosen
    anchor = np.flatnonzero(allowed)
    seen = _seen(columns, rule)
    count = len(anchor)
    if seen is not None and count:
        found = windows.windows(
            anchor, run_stop[anchor], columns.stop, columns.verdict, rule.horizon, n)
        anchor = anchor[seen[anchor] & seen[found.next]]
    stretches: list[Stretch] = []
    if len(anchor):
        breaks = np.flatnonzero((np.diff(anchor) != 1) | (np.diff(run_stop[anchor]) != 0)) + 1
        firsts = anchor[np.concatenate(([0], breaks))].tolist()
        counts = np.diff(np.concatenate(([0], breaks, [len(anchor)]))).tolist()
        stretches = [
            Stretch(first, many, int(run_stop[first]), int(source[first]),
                    columns.versions[version[first]])
            for first, many in zip(firsts, counts)]
    return EpisodeAnchors(columns, rule, n, tuple(stretches), count - len(anchor))


def _seen(columns: EpisodeColumns, rule: Rule) -> Bool | None:
    """Return at which steps all observations that are wanted are there; None if at all."""
    parts = [columns.has_image(camera) for camera in rule.cameras]
    if rule.scene:
        parts.append(columns.has_scene)
    seen = np.logical_and.reduce(parts) if parts else np.ones(0, bool)
    return None if seen.all() else seen
