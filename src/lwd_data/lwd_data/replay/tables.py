# SPDX-License-Identifier: Apache-2.0
"""The messages of one segment as tables: one a topic, validated, sorted by tick or stamp."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from g1_description.joints import COMMAND_NAMES, STATE_NAMES
from lwd_data.replay.cdr_columns import Group
from lwd_data.replay.mcap_scan import Scan
from lwd_data.replay.topics import IMAGE_SUFFIX, Table, Topics, short
from lwd_data.scene_layout import LAYOUTS

NO_STAMP = -1
_D = len(COMMAND_NAMES)


@dataclass(frozen=True)
class Tables:
    """What a segment holds."""

    tick: Table
    joints: Table
    step: Table
    executed: Table
    reward: Table
    scene: Table
    images: dict[str, Table]
    """By camera."""
    cameras: tuple[str, ...]
    """Of the columns `image_stamp` of ticks and steps."""
    versions: tuple[str, ...]
    """That the column `version` of steps counts into."""
    layout: str
    """Of the scene features; empty if there are none."""


def read_tables(scan: Scan) -> Tables:
    """Read the tables of a segment.

    Raises:
        IndexFileError: Something in it is not what an episode of this version has; the message
            names file, field and value.
    """
    topics = Topics(scan)
    steps = topics.groups['control_step']
    named = {camera for group in (*topics.groups['tick'], *steps)
             for camera in group.texts('cameras')}
    cameras = tuple(sorted(named | set(topics.images)))
    versions = tuple(sorted({''} | {group.text('policy_version') for group in steps}))
    layout = _layout(topics)
    return Tables(
        _ticks(topics, cameras), _joints(topics), _steps(topics, cameras, versions),
        _executed(topics), _rewards(topics), _scenes(topics, layout),
        {camera: _images(topics, camera) for camera in topics.images}, cameras, versions, layout)


def _ticks(topics: Topics, cameras: tuple[str, ...]) -> Table:
    return _last_of_each('tick', topics.table('tick', lambda group: {
        'tick': _int64(group.number('tick')),
        'stamp': group.nanoseconds('header.stamp')[:, 0],
        'joint_stamp': group.nanoseconds('joint_state_stamp')[:, 0],
        'image_stamp': _image_stamps(topics, group, cameras, 'tick'),
    }, _empty(tick='i8', stamp='i8', joint_stamp='i8', image_stamp=('i8', len(cameras)))))


def _image_stamps(
    topics: Topics, group: Group, cameras: tuple[str, ...], name: str,
) -> NDArray[np.int64]:
    stamps, seen = group.nanoseconds('image_stamps'), group.texts('cameras')
    if stamps.shape[1] != len(seen):
        raise topics.wrong(
            f'{name}.image_stamps', f'has {stamps.shape[1]} entries for the cameras {short(seen)}')
    found = np.full((len(group.rows), len(cameras)), NO_STAMP, np.int64)
    for k, camera in enumerate(seen):
        found[:, cameras.index(camera)] = stamps[:, k]
    return found


def _joints(topics: Topics) -> Table:
    def read(group: Group) -> Table:
        names = group.texts('name')
        if names != STATE_NAMES:
            raise topics.wrong(
                'joint_states.name', f'is {short(names)}, not g1_description.joints.STATE_NAMES, '
                f'{short(STATE_NAMES)}')
        return {'state': topics.sized(group, 'joint_states', 'position', len(STATE_NAMES))}

    table = topics.table('joint_states', read, _empty(state=('f8', len(STATE_NAMES))))
    # As EpisodeReader joins them: by the stamp of recording, which is that of the header.
    table['log_stamp'] = np.array(topics.stamps.get('joint_states', ()), np.int64)
    topics.check_finite('joint_states.position', table['state'], 'stamp', table['log_stamp'])
    return _last_of_each('log_stamp', table)


def _steps(topics: Topics, cameras: tuple[str, ...], versions: tuple[str, ...]) -> Table:
    def read(group: Group) -> Table:
        topics.check_command_names(group, 'control_step', may_be_empty=True)
        return {
            'tick': _int64(group.number('tick')),
            'source': group.number('source'),
            'version': np.full(
                len(group.rows), versions.index(group.text('policy_version')), np.int32),
            'chunk_id': _int64(group.number('chunk_id')),
            'chunk_index': group.number('chunk_index').astype(np.int32),
            'image_stamp': _image_stamps(topics, group, cameras, 'control_step')}

    return _last_of_each('tick', topics.table('control_step', read, _empty(
        tick='i8', source='u1', version='i4', chunk_id='i8', chunk_index='i4',
        image_stamp=('i8', len(cameras)))))


def _executed(topics: Topics) -> Table:
    def read(group: Group) -> Table:
        topics.check_command_names(group, 'executed_command', may_be_empty=False)
        requested = group.numbers('requested')
        if not requested.shape[1]:
            requested = np.full((len(group.rows), _D), np.nan)
        elif requested.shape[1] != _D:
            raise topics.wrong(
                'executed_command.requested',
                f'has {requested.shape[1]} entries, neither {_D} nor none')
        return {
            'tick': _int64(group.number('tick')), 'requested': requested,
            'executed': topics.sized(group, 'executed_command', 'positions', _D),
            'clipped': topics.sized(group, 'executed_command', 'clips', _D),
            'driver_state': group.number('state'), 'hold_reason': group.number('hold_reason')}

    table = topics.table('executed_command', read, _empty(
        tick='i8', requested=('f8', _D), executed=('f8', _D), clipped=('u1', _D),
        driver_state='u1', hold_reason='u1'))
    topics.check_finite('executed_command.positions', table['executed'], 'tick', table['tick'])
    return _last_of_each('tick', table)


def _rewards(topics: Topics) -> Table:
    table = topics.table('reward', lambda group: {
        'tick': _int64(group.number('tick')), 'reward': group.number('reward'),
        'score': group.number('score'), 'terminal': group.number('terminal'),
    }, _empty(tick='i8', reward='f8', score='f8', terminal='u1'))
    topics.check_finite('reward.reward', table['reward'][:, None], 'tick', table['tick'])
    return _last_of_each('tick', table)


def _layout(topics: Topics) -> str:
    names = sorted({group.text('layout') for group in topics.groups['scene_features']})
    unknown = [name for name in names if name not in LAYOUTS]
    if unknown or len(names) > 1:
        raise topics.wrong(
            'scene_features.layout', f'is {" and ".join(map(repr, names))}; a segment has one, '
            f'known are {", ".join(LAYOUTS)}')
    return names[0] if names else ''


def _scenes(topics: Topics, layout: str) -> Table:
    size = LAYOUTS[layout].size if layout else 0

    def read(group: Group) -> Table:
        offset, count = group.span('values')
        if (count != size).any():
            raise topics.wrong(
                'scene_features.values', f'has {count[count != size][0]} numbers; layout {layout} '
                f'has {size}')
        return {'tick': _int64(group.number('tick')), 'offset': offset}

    table = topics.table('scene_features', read, _empty(tick='i8', offset='i8'))
    if layout:
        view = memoryview(topics.data)
        values = np.frombuffer(
            b''.join([view[at:at + 4 * size] for at in table['offset'].tolist()]), '<f4')
        topics.check_finite(
            'scene_features.values', values.reshape(-1, size), 'tick', table['tick'])
    return _last_of_each('tick', table)


def _images(topics: Topics, camera: str) -> Table:
    groups = topics.images[camera]
    count = sum(len(group.rows) for group in groups)
    table = {name: np.zeros(count, np.int64) for name in ('stamp', 'offset', 'length')}
    for group in groups:
        if 'jpeg' not in group.text('format'):
            raise topics.wrong(
                f'{camera}{IMAGE_SUFFIX}: format', f'is {group.text("format")!r}, which names no '
                'jpeg')
        table['stamp'][group.rows] = group.nanoseconds('header.stamp')[:, 0]
        table['offset'][group.rows], table['length'][group.rows] = group.span('data')
    return _last_of_each('stamp', table)


def _int64(values: NDArray[Any]) -> NDArray[np.int64]:
    return values.astype(np.int64)


def _empty(**columns: str | tuple[str, int]) -> Table:
    """Return columns of no rows, given as dtype or (dtype, entries a row)."""
    return {name: np.zeros((0,) if isinstance(kind, str) else (0, kind[1]),
                           kind if isinstance(kind, str) else kind[0])
            for name, kind in columns.items()}


def _last_of_each(key: str, table: Table) -> Table:
    """Sort by a key; of rows with the same one the last message holds, as for EpisodeReader."""
    keys = table[key]
    if len(keys) < 2 or (np.diff(keys) > 0).all():
        return table
    # The first of each in the reversed order is the last message.
    _, first = np.unique(keys[::-1], return_index=True)
    rows = len(keys) - 1 - first
    return {name: column[rows] for name, column in table.items()}
