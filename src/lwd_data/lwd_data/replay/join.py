# SPDX-License-Identifier: Apache-2.0
"""Joins the indexes of an episode's segments by tick.

The rows of a segment stay where they are: an episode is a list of pieces (from this step on, these
rows of that block). Steps whose parts lie in two segments are put together here, into a block of
their own behind the segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwd_data.errors import IndexFileError
from lwd_data.replay.index import LOOSE, NO_PLACE, SegmentIndex
from lwd_data.replay.pieces import Pieces
from lwd_data.replay.tables import NO_STAMP
from lwd_data.replay.topics import Table
from lwd_msgs.msg import ControlStep

Int = NDArray[np.int64]


@dataclass(frozen=True)
class Joined:
    """Where the steps of an episode lie."""

    pieces: Pieces
    """The blocks are the segments, and behind them `extra`."""
    extra: Table
    """Steps whose parts lie in two segments; scene_segment says where their features are. Empty if
    there are none."""
    versions: tuple[str, ...]
    version_maps: list[NDArray[np.int32]]
    """By block: from its own numbers to those of versions."""
    cameras: tuple[str, ...]
    camera_maps: list[dict[str, int]]
    """By block: the columns of image_stamp."""
    layout: str
    reward_step: Int
    reward_value: NDArray[np.float64]
    terminal: NDArray[np.uint8]


def join(indexes: Sequence[SegmentIndex], *, finished: bool) -> Joined:
    """Join the segments of an episode, in order.

    Args:
        indexes: At least one.
        finished: Whether no more segments are to come.

    Raises:
        IndexFileError: Two of them hold the same ticks, or scenes of two layouts.
    """
    versions = tuple(sorted({''}.union(*(index.versions for index in indexes))))
    cameras = tuple(sorted(set().union(*(index.cameras for index in indexes))))
    layouts = sorted({index.layout for index in indexes if index.layout})
    if len(layouts) > 1:
        raise IndexFileError(
            f'{indexes[0].segment.parent} has scene features of layouts {" and ".join(layouts)}; '
            'an episode has one')
    ticks = [index['tick'] for index in indexes]
    # Rare: a tick was cut in two, or lost a part.
    extra: Table = {}
    if any(index.rows('loose_tick.tick') for index in indexes):
        extra = _extra(indexes, versions, cameras, finished=finished)
        ticks.append(extra['tick'])
    tick = np.concatenate(ticks)
    block = np.repeat(np.arange(len(ticks)), [len(part) for part in ticks])
    row = np.concatenate([np.arange(len(part)) for part in ticks])
    if extra:
        order = np.argsort(tick, kind='stable')
        tick, block, row = tick[order], block[order], row[order]
    _check_order(indexes, tick, block)
    step, value, terminal = _rewards(indexes, tick)
    return Joined(
        Pieces(block, row), extra, versions,
        [*(_codes(index.versions, versions) for index in indexes),
         np.arange(len(versions), dtype=np.int32)],
        cameras,
        [*({camera: k for k, camera in enumerate(index.cameras)} for index in indexes),
         {camera: k for k, camera in enumerate(cameras)}],
        layouts[0] if layouts else '', step, value, terminal)


def _codes(names: tuple[str, ...], known: tuple[str, ...]) -> NDArray[np.int32]:
    return np.array([known.index(name) for name in names], np.int32)


def _check_order(indexes: Sequence[SegmentIndex], tick: Int, block: Int) -> None:
    wrong = np.flatnonzero(np.diff(tick) <= 0)
    if len(wrong):
        at = int(wrong[0])
        files = sorted({indexes[min(int(block[k]), len(indexes) - 1)].segment.name
                        for k in (at, at + 1)})
        raise IndexFileError(
            f'{indexes[0].segment.parent}: tick {tick[at + 1]} comes after tick {tick[at]} '
            f'({" and ".join(files)}): two segments hold the same ticks. Was the driver started '
            'again within the episode? Leave the episode out')


def _rewards(
    indexes: Sequence[SegmentIndex], tick: Int,
) -> tuple[Int, NDArray[np.float64], NDArray[np.uint8]]:
    """Return the steps with a reward event, and what they got. Of two the last one holds."""
    found: dict[int, tuple[float, int]] = {}
    for index in indexes:
        if not index.rows('reward.tick'):
            continue
        for number, value, kind in zip(
                index['reward.tick'].tolist(), index['reward.reward'].tolist(),
                index['reward.terminal'].tolist()):
            at = int(np.searchsorted(tick, number))
            # An event of a tick that has no step, as at the very end, earns nothing.
            if at < len(tick) and tick[at] == number:
                found[at] = (value, kind)
    steps = sorted(found)
    return (np.array(steps, np.int64), np.array([found[at][0] for at in steps], np.float64),
            np.array([found[at][1] for at in steps], np.uint8))


def _loose(
    indexes: Sequence[SegmentIndex], name: str, cameras: tuple[str, ...],
    versions: tuple[str, ...],
) -> Table:
    """Return one kind of loose parts of all segments, with the segment that each is in."""
    tables = []
    for number, index in enumerate(indexes):
        table = dict(index.loose(name))
        count = len(next(iter(table.values())))
        table['segment'] = np.full(count, number, np.int64)
        if 'image_stamp' in table:
            stamps = np.full((count, len(cameras)), NO_STAMP, np.int64)
            for k, camera in enumerate(index.cameras):
                stamps[:, cameras.index(camera)] = table['image_stamp'][:, k]
            table['image_stamp'] = stamps
        if 'version' in table:
            table['version'] = _codes(index.versions, versions)[table['version']]
        tables.append(table)
    return {key: np.concatenate([table[key] for table in tables]) for key in tables[0]}


def _extra(
    indexes: Sequence[SegmentIndex], versions: tuple[str, ...], cameras: tuple[str, ...], *,
    finished: bool,
) -> Table:
    tick, joints, step, executed, scene = (
        _loose(indexes, name, cameras, versions) for name in LOOSE)
    in_executed, in_joints = (
        _last(executed['tick'], tick['tick']), _last(joints['log_stamp'], tick['joint_stamp']))
    keep = (in_executed >= 0) & (in_joints >= 0)
    in_step = _last(step['tick'], tick['tick'])
    if not finished and keep.any():
        # What asked for the last of them may still be to come.
        last = max((int(index['tick'][-1]) for index in indexes if len(index)), default=-1)
        known = tick['tick'][keep & (in_step >= 0)]
        last = max(last, int(known.max())) if len(known) else last
        keep &= (in_step >= 0) | (tick['tick'] < last)
    e, j, s = in_executed[keep], in_joints[keep], in_step[keep]
    c = _last(scene['tick'], tick['tick'][keep])

    def or_else(table: Table, rows: Int, key: str, default: int) -> NDArray[Any]:
        column = np.full((len(rows), *table[key].shape[1:]), default, table[key].dtype)
        column[rows >= 0] = table[key][rows[rows >= 0]]
        return column

    stamps = or_else(step, s, 'image_stamp', NO_STAMP)
    seen = tick['image_stamp'][keep]
    return {
        'tick': tick['tick'][keep], 'stamp': tick['stamp'][keep], 'state': joints['state'][j],
        'executed': executed['executed'][e], 'requested': executed['requested'][e],
        'clipped': executed['clipped'][e], 'driver_state': executed['driver_state'][e],
        'hold_reason': executed['hold_reason'][e],
        'source': or_else(step, s, 'source', ControlStep.SOURCE_HOLD),
        'version': or_else(step, s, 'version', versions.index('')),
        'chunk_id': or_else(step, s, 'chunk_id', 0),
        'chunk_index': or_else(step, s, 'chunk_index', 0),
        'scene_offset': or_else(scene, c, 'offset', NO_PLACE),
        'scene_segment': or_else(scene, c, 'segment', NO_PLACE),
        'image_stamp': np.where(stamps == NO_STAMP, seen, stamps),
        # Which segment they are in is looked up when one is asked for.
        'image_offset': np.full(stamps.shape, NO_PLACE, np.int64),
        'image_length': np.full(stamps.shape, NO_PLACE, np.int64)}


def _last(keys: Int, wanted: Int) -> Int:
    """Return where each wanted value stands last in keys; NO_PLACE where it does not."""
    places = {key: at for at, key in enumerate(keys.tolist())}
    return np.array([places.get(key, NO_PLACE) for key in wanted.tolist()], np.int64)
