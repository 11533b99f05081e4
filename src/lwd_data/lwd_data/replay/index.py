# SPDX-License-Identifier: Apache-2.0
"""The index of one segment: columns beside the MCAP file, from which a sampler reads.

Steps whose parts all lie in the segment are rows. A recorder begins a new segment at any message,
so the parts of one tick may lie in two: what has no counterpart here is kept apart (`loose_*`),
and joined when the episode is opened.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwd_data.errors import IndexFileError
from lwd_data.replay import columns_file
from lwd_data.replay.columns_file import ColumnsFile
from lwd_data.replay.mcap_scan import scan
from lwd_data.replay.tables import NO_STAMP, Tables, read_tables
from lwd_data.replay.topics import Table

VERSION = 1
SUFFIX = '.index'
NO_PLACE = -1
LOOSE = ('tick', 'joints', 'step', 'executed', 'scene')
ROW_COLUMNS = (
    'tick', 'stamp', 'state', 'executed', 'requested', 'clipped', 'source', 'version', 'chunk_id',
    'chunk_index', 'driver_state', 'hold_reason', 'scene_offset', 'image_stamp', 'image_offset',
    'image_length')


@dataclass(frozen=True)
class SegmentIndex:
    """An index on disk, memory-mapped. Its columns are those of ROW_COLUMNS, R rows each."""

    segment: Path
    columns: ColumnsFile
    sha256: str
    """Of the segment."""
    size: int
    """Of the segment, bytes."""
    changed_ns: int
    """When the segment was changed last, as the file system has it."""
    cameras: tuple[str, ...]
    versions: tuple[str, ...]
    """What the column `version` counts into."""
    layout: str
    """Of the scene features; empty if it has none."""
    begin_ns: int
    """Stamp of the first tick; 0 if it has none."""

    def __len__(self) -> int:
        """Return how many rows it has."""
        return len(self.columns['tick'])

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def rows(self, name: str) -> int:
        """Return how many rows a column has, without mapping it."""
        return self.columns.rows(name)

    def loose(self, name: str) -> Table:
        """Return the parts of one of LOOSE that found no counterpart in the segment."""
        prefix = f'loose_{name}.'
        return {column.removeprefix(prefix): self.columns[column]
                for column in self.columns if column.startswith(prefix)}

    def image(self, camera: str) -> tuple[NDArray[np.int64], NDArray[np.int64],
                                          NDArray[np.int64]]:
        """Return stamps, offsets and lengths of a camera's JPEGs; empty if it has none."""
        if f'image.{camera}.stamp' not in self.columns:
            nothing = np.zeros(0, np.int64)
            return nothing, nothing, nothing
        stamp, offset, length = (
            self.columns[f'image.{camera}.{name}'] for name in ('stamp', 'offset', 'length'))
        return stamp, offset, length


def index_path(segment: Path) -> Path:
    """Return where a segment's index lies."""
    return segment.with_name(segment.name + SUFFIX)


def open_index(segment: Path) -> SegmentIndex:
    """Map the index of a segment as it is, without a look at the segment.

    Raises:
        IndexFileError: It is not there, damaged, or of another version.
    """
    columns = ColumnsFile(index_path(segment))
    meta = columns.meta
    if meta.get('version') != VERSION:
        raise IndexFileError(
            f'{columns.path} is of version {meta.get("version")}, not {VERSION}; it is made again '
            'when its folder is added')
    return SegmentIndex(
        segment, columns, meta['sha256'], meta['size'], meta['changed_ns'],
        tuple(meta['cameras']), tuple(meta['versions']), meta['layout'], meta['begin_ns'])


def ensure_index(segment: Path) -> SegmentIndex:
    """Return the index of a segment; makes it where it is missing, stale or damaged.

    A segment that has the size and time of change that the index notes is taken as unchanged.

    Raises:
        IndexFileError: The segment is missing, not closed, or holds what cannot be trained on.
    """
    try:
        status = segment.stat()
    except OSError as error:
        raise IndexFileError(f'{segment} cannot be indexed: {error.strerror}') from error
    try:
        known = open_index(segment)
        if (known.size, known.changed_ns) == (status.st_size, status.st_mtime_ns):
            return known
    except IndexFileError:
        # Missing or unreadable: what follows makes a new one, or says what is wrong.
        pass
    return build_index(segment)


def build_index(segment: Path) -> SegmentIndex:
    """Read a closed segment and write its index beside it.

    Raises:
        IndexFileError: See ensure_index.
    """
    try:
        changed = segment.stat().st_mtime_ns
        data = segment.read_bytes()
    except OSError as error:
        raise IndexFileError(f'{segment} cannot be indexed: {error.strerror}') from error
    tables = read_tables(scan(segment, data))
    arrays = _columns(tables)
    ticks = tables.tick['stamp']
    meta = {
        'version': VERSION, 'sha256': hashlib.sha256(data).hexdigest(), 'size': len(data),
        'changed_ns': changed, 'cameras': tables.cameras, 'versions': tables.versions,
        'layout': tables.layout, 'begin_ns': int(ticks[0]) if len(ticks) else 0}
    columns_file.write(index_path(segment), meta, arrays)
    return open_index(segment)


def _columns(tables: Tables) -> dict[str, NDArray[Any]]:
    tick, joints, step = tables.tick, tables.joints, tables.step
    executed, scene = tables.executed, tables.scene
    in_step = _find(step['tick'], tick['tick'])
    in_executed = _find(executed['tick'], tick['tick'])
    in_joints = _find(joints['log_stamp'], tick['joint_stamp'])
    in_scene = _find(scene['tick'], tick['tick'])
    whole = (in_step >= 0) & (in_executed >= 0) & (in_joints >= 0)
    if tables.layout:
        whole &= in_scene >= 0
    j, s, e = in_joints[whole], in_step[whole], in_executed[whole]
    stamps = np.where(step['image_stamp'][s] == NO_STAMP, tick['image_stamp'][whole],
                      step['image_stamp'][s])
    arrays: dict[str, NDArray[Any]] = {
        'tick': tick['tick'][whole], 'stamp': tick['stamp'][whole], 'state': joints['state'][j],
        'executed': executed['executed'][e], 'requested': executed['requested'][e],
        'clipped': executed['clipped'][e], 'driver_state': executed['driver_state'][e],
        'hold_reason': executed['hold_reason'][e], 'source': step['source'][s],
        'version': step['version'][s], 'chunk_id': step['chunk_id'][s],
        'chunk_index': step['chunk_index'][s],
        'scene_offset': scene['offset'][in_scene[whole]] if tables.layout
        else np.full(int(whole.sum()), NO_PLACE, np.int64),
        'image_stamp': stamps, **_image_places(tables, stamps)}
    for name, column in tables.reward.items():
        arrays[f'reward.{name}'] = column
    for camera, table in tables.images.items():
        for name, column in table.items():
            arrays[f'image.{camera}.{name}'] = column
    used = np.zeros(len(joints['log_stamp']), bool)
    used[j] = True
    loose = {
        'tick': (tick, ~whole), 'joints': (joints, _near_the_ends(joints, used, tick, whole)),
        'step': (step, ~np.isin(step['tick'], arrays['tick'])),
        'executed': (executed, ~np.isin(executed['tick'], arrays['tick'])),
        'scene': (scene, ~np.isin(scene['tick'], arrays['tick']))}
    for name, (table, rows) in loose.items():
        for key, column in table.items():
            arrays[f'loose_{name}.{key}'] = column[rows]
    return arrays


def _near_the_ends(
    joints: Table, used: NDArray[np.bool_], tick: Table, whole: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Say which joint states a tick of a neighbouring segment may still ask for.

    States come faster than ticks; keeping all that no tick took would double the index.
    """
    stamps = joints['log_stamp']
    if not used.any():
        return ~used
    taken = stamps[used]
    asked = np.isin(stamps, tick['joint_stamp'][~whole])
    return (stamps >= taken.max()) | (stamps <= taken.min()) | asked


def _image_places(tables: Tables, stamps: NDArray[np.int64]) -> Table:
    """Return where the images of given stamps lie; NO_PLACE for those of other segments."""
    offset, length = (np.full(stamps.shape, NO_PLACE, np.int64) for _ in range(2))
    for k, camera in enumerate(tables.cameras):
        if camera in tables.images:
            table = tables.images[camera]
            rows = _find(table['stamp'], stamps[:, k])
            there = rows >= 0
            offset[there, k] = table['offset'][rows[there]]
            length[there, k] = table['length'][rows[there]]
    return {'image_offset': offset, 'image_length': length}


def _find(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each wanted value stands in sorted keys; NO_PLACE where it does not."""
    if not len(keys):
        return np.full(len(wanted), NO_PLACE, np.int64)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, at, NO_PLACE)
