# SPDX-License-Identifier: Apache-2.0
"""All windows of a snapshot, compactly: stretches of anchors instead of single ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwd_data.errors import SampleError
from lwd_data.replay import windows
from lwd_data.replay.episode import EpisodeColumns, require_layout
from lwd_data.replay.files import Files
from lwd_data.replay.records import DISCARDED, ORIGINS
from lwd_data.replay.snapshot import Snapshot, check_files
from lwd_msgs.msg import ControlStep, Reward

Int = NDArray[np.int64]
Bool = NDArray[np.bool_]
Selection = Callable[[EpisodeColumns], Bool]

SOURCE_NAMES = {
    ControlStep.SOURCE_HOLD: 'hold', ControlStep.SOURCE_POLICY: 'policy',
    ControlStep.SOURCE_TELEOP: 'teleop', ControlStep.SOURCE_EXPERT: 'expert',
    ControlStep.SOURCE_ESTOP: 'estop'}
OUTCOME_NAMES = {
    Reward.TERMINAL_NONE: 'none', Reward.TERMINAL_SUCCESS: 'success',
    Reward.TERMINAL_FAILURE: 'failure', Reward.TERMINAL_TIMEOUT: 'timeout'}


@dataclass(frozen=True)
class AnchorTable:
    """N episodes, and I intervals of anchors, sorted by group: origin and task."""

    episodes: tuple[EpisodeColumns, ...]
    tasks: tuple[str, ...]
    instructions: tuple[str, ...]
    versions: tuple[str, ...]
    layout: str
    """Of the scene features; empty if they are not wanted."""
    n_steps: Int
    """(len(tasks),)."""
    task: Int
    """(N,) index into tasks."""
    instruction: Int
    """(N,) index into instructions."""
    origin: Int
    """(N,) index into ORIGINS."""
    stop: Int
    """(N,) steps up to the verdict."""
    verdict: Bool
    """(N,) whether there is one."""
    outcome: NDArray[np.uint8]
    """(N,) Reward.TERMINAL_*."""
    episode: Int
    """(I,) whose anchors they are."""
    first: Int
    """(I,) first anchor."""
    run_stop: Int
    """(I,) where the anchors' run stops."""
    source: NDArray[np.uint8]
    """(I,) who is in control."""
    version: Int
    """(I,) index into versions."""
    ends: Int
    """(I,) anchors of this and all intervals before it."""
    group_origin: Int
    """(G,) index into ORIGINS."""
    group_first: Int
    """(G,) anchors of all groups before it."""
    group_count: Int
    """(G,) anchors of the group."""

    def locate(self, group: Int, within: Int) -> tuple[Int, Int]:
        """Return intervals and anchors, each (B,), of the windows numbered within groups."""
        number = self.group_first[group] + within
        interval = np.searchsorted(self.ends, number, side='right')
        before = np.where(interval > 0, self.ends[interval - 1], 0)
        return interval, self.first[interval] + number - before

    def describe(self) -> dict[str, Any]:
        """Return counts of windows by task, origin, source and outcome."""
        sizes = np.diff(self.ends, prepend=0)
        found: dict[str, Any] = {
            'windows': int(sizes.sum()), 'episodes': len(np.unique(self.episode))}
        for name, values, names in (
                ('task', self.task[self.episode], dict(enumerate(self.tasks))),
                ('origin', self.origin[self.episode], dict(enumerate(ORIGINS))),
                ('source', self.source, SOURCE_NAMES),
                ('outcome', self.outcome[self.episode], OUTCOME_NAMES)):
            counts: Counter[str] = Counter()
            for value in np.unique(values).tolist():
                counts[names.get(value, str(value))] += int(sizes[values == value].sum())
            found[name] = dict(counts)
        return found


def build_table(
    snapshot: Snapshot, files: Files, n_steps: Mapping[str, int], *, horizon: int, scene: bool,
    cameras: Sequence[str], select: Selection | None,
) -> AnchorTable:
    """Find the windows of a snapshot; see WindowSampler.

    Raises:
        CatalogueError, IndexFileError: Files are missing, changed or contradict each other.
        SampleError: A task has no entry in n_steps, or nothing is left to draw.
    """
    records = [record for record in snapshot.episodes() if record.label != DISCARDED]
    check_files(records)
    tasks = tuple(sorted({record.task for record in records}))
    for task in tasks:
        if n_steps.get(task, 0) < 1:
            raise SampleError(
                f'n_steps of task {task!r} is {n_steps.get(task)}; it must be at least 1 for each '
                f'task of the snapshot: {", ".join(tasks)}')
    episodes = tuple(EpisodeColumns(record, files.index) for record in records)
    layout = next((one.layout for one in episodes if one.layout), '') if scene else ''
    versions = tuple(sorted({''}.union(*(one.versions for one in episodes))))
    instructions = tuple(sorted({record.instruction for record in records}))
    rows = []
    for number, columns in enumerate(episodes):
        if layout:
            require_layout(columns, layout)
        n = n_steps[columns.record.task]
        key = (ORIGINS.index(columns.record.origin), tasks.index(columns.record.task))
        rows += [(*key, number, *interval) for interval in _intervals(
            columns, versions, horizon, n, scene=bool(layout), cameras=cameras, select=select)]
    if not rows:
        wanted = [f'chunks of {horizon} steps', *(['scene features'] if scene else []),
                  *(f'images of {camera}' for camera in cameras)]
        raise SampleError(
            f'snapshot {snapshot.id[:12]} of {snapshot.store} has {len(episodes)} episodes, and '
            f'not one window with {", ".join(wanted)}'
            + (' that the selection lets through' if select else ''))
    rows.sort()
    columns_ = np.array(rows, np.int64).T
    origin, task, episode, first, count, run_stop, source, version = columns_
    ends = np.cumsum(count)
    changes = np.flatnonzero(np.diff(origin) | np.diff(task)) + 1
    begin = np.concatenate(([0], changes))
    group_first = np.concatenate(([0], ends[changes - 1]))
    return AnchorTable(
        episodes, tasks, instructions, versions, layout,
        np.array([n_steps[name] for name in tasks], np.int64),
        np.array([tasks.index(record.task) for record in records], np.int64),
        np.array([instructions.index(record.instruction) for record in records], np.int64),
        np.array([ORIGINS.index(record.origin) for record in records], np.int64),
        np.array([one.stop for one in episodes], np.int64),
        np.array([one.verdict for one in episodes], bool),
        np.array([one.outcome for one in episodes], np.uint8),
        episode, first, run_stop, source.astype(np.uint8), version, ends, origin[begin],
        group_first, np.diff(np.append(group_first, ends[-1])))


def _intervals(
    columns: EpisodeColumns, versions: tuple[str, ...], horizon: int, n: int, *, scene: bool,
    cameras: Sequence[str], select: Selection | None,
) -> list[tuple[int, int, int, int, int]]:
    """Return (first, count, run_stop, source, version) of each stretch of anchors."""
    source, version, active = columns.source, columns.version, columns.active
    run_stop = windows.run_stops(columns.tick, source, version, active)
    allowed = windows.anchors(
        run_stop, source, active, columns.stop, columns.verdict, horizon)
    if select is not None:
        chosen = select(columns)
        if chosen.shape != allowed.shape:
            raise SampleError(
                f'the selection gives {chosen.shape} for {columns.record.name}, which has '
                f'{len(columns)} steps')
        allowed &= chosen
    seen = columns.has_scene if scene else None
    for camera in cameras:
        there = columns.has_image(camera)
        seen = there if seen is None else seen & there
    anchor = np.flatnonzero(allowed)
    if seen is not None and len(anchor):
        found = windows.windows(
            anchor, run_stop[anchor], columns.stop, columns.verdict, horizon, n)
        anchor = anchor[seen[anchor] & seen[found.next]]
    if not len(anchor):
        return []
    breaks = np.flatnonzero(
        (np.diff(anchor) != 1) | (np.diff(run_stop[anchor]) != 0)) + 1
    firsts = anchor[np.concatenate(([0], breaks))]
    counts = np.diff(np.concatenate(([0], breaks, [len(anchor)])))
    return [
        (int(first), int(count), int(run_stop[first]), int(source[first]),
         versions.index(columns.versions[version[first]]))
        for first, count in zip(firsts, counts)]
