# SPDX-License-Identifier: Apache-2.0
"""All windows of a snapshot, compactly: stretches of anchors instead of single ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwd_data.errors import EmptyError, SampleError
from lwd_data.replay.anchors import EpisodeAnchors, Rule, find_anchors
from lwd_data.replay.episode import EpisodeColumns
from lwd_data.replay.files import Files
from lwd_data.replay.records import DISCARDED, ORIGINS, EpisodeRecord
from lwd_data.replay.snapshot import Snapshot
from lwd_data.replay.verify import check_files
from lwd_msgs.msg import ControlStep, Reward

Int = NDArray[np.int64]
Bool = NDArray[np.bool_]

SOURCE_NAMES = {
    ControlStep.SOURCE_HOLD: 'hold', ControlStep.SOURCE_POLICY: 'policy',
    ControlStep.SOURCE_TELEOP: 'teleop', ControlStep.SOURCE_EXPERT: 'expert',
    ControlStep.SOURCE_ESTOP: 'estop'}
OUTCOME_NAMES = {
    Reward.TERMINAL_NONE: 'none', Reward.TERMINAL_SUCCESS: 'success',
    Reward.TERMINAL_FAILURE: 'failure', Reward.TERMINAL_TIMEOUT: 'timeout'}


@dataclass(frozen=True)
class AnchorTable:
    """N episodes, and I stretches of anchors, sorted by group: origin and task."""

    files: Files
    found: tuple[EpisodeAnchors, ...]
    episodes: tuple[EpisodeColumns, ...]
    tasks: tuple[str, ...]
    instructions: tuple[str, ...]
    versions: tuple[str, ...]
    layout: str
    """Of the scene features; empty if they are not wanted, or nowhere."""
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
    """(I,) anchors of this and all stretches before it."""
    group_origin: Int
    """(G,) index into ORIGINS."""
    group_first: Int
    """(G,) anchors of all groups before it."""
    group_count: Int
    """(G,) anchors of the group."""

    def locate(self, group: Int, within: Int) -> tuple[Int, Int]:
        """Return stretches and anchors, each (B,), of the windows numbered within groups."""
        number = self.group_first[group] + within
        stretch = np.searchsorted(self.ends, number, side='right')
        before = np.where(stretch > 0, self.ends[stretch - 1], 0)
        return stretch, self.first[stretch] + number - before

    def describe(self) -> dict[str, Any]:
        """Return counts; see WindowSampler.describe."""
        sizes = np.diff(self.ends, prepend=0)

        def by(values: NDArray[Any], names: Mapping[int, str]) -> dict[str, int]:
            return {names.get(value, str(value)): int(sizes[values == value].sum())
                    for value in np.unique(values).tolist()}

        return {
            'windows': int(sizes.sum()), 'episodes': len(np.unique(self.episode)),
            'left_out': sum(one.left_out for one in self.found),
            'task': by(self.task[self.episode], dict(enumerate(self.tasks))),
            'origin': by(self.origin[self.episode], dict(enumerate(ORIGINS))),
            'source': by(self.source, SOURCE_NAMES),
            'outcome': by(self.outcome[self.episode], OUTCOME_NAMES),
            'staleness': self.staleness()}

    def staleness(self) -> float:
        """Return how many policies are newer than the one that acted, in the mean over windows.

        Of windows that a policy made online; 0 if there are none. Policies are in the order in
        which their first windows came: a deployed fleet's episodes are registered as they come.
        """
        online = self.origin[self.episode] == ORIGINS.index('online')
        mine = np.flatnonzero(online & (self.source == ControlStep.SOURCE_POLICY))
        if not len(mine):
            return 0.0
        came = mine[np.lexsort((self.first[mine], self.episode[mine]))]
        codes, first = np.unique(self.version[came], return_index=True)
        newer = len(codes) - 1 - np.argsort(np.argsort(first))
        sizes = np.diff(self.ends, prepend=0)[mine]
        return float(np.average(newer[np.searchsorted(codes, self.version[mine])], weights=sizes))


def build_table(
    snapshot: Snapshot, files: Files, n_steps: Mapping[str, int], rule: Rule,
    known: Iterable[EpisodeAnchors] = (),
) -> AnchorTable:
    """Find the windows of a snapshot.

    Args:
        snapshot: What to look through.
        files: Open files.
        n_steps: By task: chunks that a window may span at most.
        rule: What makes an anchor; scene features are asked for only if any episode has some.
        known: What was found before, for example in an older snapshot; not looked at again.

    Raises:
        CatalogueError, IndexFileError: Files are missing, changed or contradict each other.
        SampleError: A task has no entry in n_steps, or nothing is left to draw.
    """
    records = [record for record in snapshot.episodes() if record.label != DISCARDED]
    before = {one.columns.record.name: one for one in known}
    old = {record.name for record in records
           if record.name in before and before[record.name].columns.record == record}
    check_files((record for record in records if record.name not in old), files)
    tasks = tuple(sorted({record.task for record in records}))
    for task in tasks:
        if n_steps.get(task, 0) < 1:
            raise SampleError(
                f'n_steps of task {task!r} is {n_steps.get(task)}; it must be at least 1 for each '
                f'task of the snapshot: {", ".join(tasks)}')
    episodes = tuple(
        before[record.name].columns if record.name in old else EpisodeColumns(record, files.index)
        for record in records)
    layout = next((one.layout for one in episodes if one.layout), '') if rule.scene else ''
    for columns in episodes:
        if layout and columns.layout not in ('', layout):
            raise SampleError(
                f'{columns.record.folder} has scene features of layout {columns.layout}, others '
                f'of {layout}; a batch has one layout: train on one at a time')
    rule = Rule(rule.horizon, bool(layout), rule.cameras, rule.select)
    found = []
    for columns in episodes:
        n = n_steps[columns.record.task]
        one = before.get(columns.record.name)
        reusable = one is not None and one.columns is columns and one.holds(rule, n)
        found.append(one if one is not None and reusable else find_anchors(columns, rule, n))
    return _assemble(snapshot, files, records, tuple(found), tasks, layout, n_steps, rule)


def _assemble(
    snapshot: Snapshot, files: Files, records: list[EpisodeRecord],
    found: tuple[EpisodeAnchors, ...], tasks: tuple[str, ...], layout: str,
    n_steps: Mapping[str, int], rule: Rule,
) -> AnchorTable:
    episodes = tuple(one.columns for one in found)
    versions = tuple(sorted({''}.union(*(one.versions for one in episodes))))
    instructions = tuple(sorted({record.instruction for record in records}))
    codes = {name: {value: code for code, value in enumerate(values)} for name, values in (
        ('task', tasks), ('origin', ORIGINS), ('version', versions),
        ('instruction', instructions))}
    task = np.array([codes['task'][record.task] for record in records], np.int64)
    origin = np.array([codes['origin'][record.origin] for record in records], np.int64)
    rows = [(number, s.first, s.length, s.run_stop, s.source, codes['version'][s.version])
            for number, one in enumerate(found) for s in one.stretches]
    if not rows:
        raise EmptyError(_nothing(snapshot, found, rule))
    table = np.array(rows, np.int64)
    table = table[np.lexsort((task[table[:, 0]], origin[table[:, 0]]))]
    episode, first, count, run_stop, source, version = table.T
    ends = np.cumsum(count)
    changes = np.flatnonzero(np.diff(origin[episode]) | np.diff(task[episode])) + 1
    group_first = np.concatenate(([0], ends[changes - 1]))
    return AnchorTable(
        files, found, episodes, tasks, instructions, versions, layout,
        np.array([n_steps[name] for name in tasks], np.int64), task,
        np.array([codes['instruction'][record.instruction] for record in records], np.int64),
        origin, np.array([one.stop for one in episodes], np.int64),
        np.array([one.verdict for one in episodes], bool),
        np.array([one.outcome for one in episodes], np.uint8),
        episode, first, run_stop, source.astype(np.uint8), version, ends,
        origin[episode[np.concatenate(([0], changes))]], group_first,
        np.diff(np.append(group_first, ends[-1])))


def _nothing(snapshot: Snapshot, found: tuple[EpisodeAnchors, ...], rule: Rule) -> str:
    wanted = ['scene features'] * rule.scene + [f'images of {name}' for name in rule.cameras]
    return (
        f'snapshot {snapshot.id[:12]} of {snapshot.store} has {len(found)} episodes and not one '
        f'window of chunks of {rule.horizon} steps'
        + (' that the selection lets through' if rule.select else '')
        + (f'; {sum(one.left_out for one in found)} lack {" or ".join(wanted)} at one of their '
           'ends' if wanted else ''))
