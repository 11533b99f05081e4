# SPDX-License-Identifier: Apache-2.0
"""The messages of one segment as tables: one a topic, validated, in the order of their stamps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, JointState

from g1_description.joints import COMMAND_NAMES, STATE_NAMES
from lwd_data.errors import IndexFileError
from lwd_data.replay.cdr_columns import CdrColumns, Group
from lwd_data.replay.mcap_scan import Scan, Topic
from lwd_data.scene_layout import LAYOUTS
from lwd_msgs import msg as lwd

Table = dict[str, NDArray[Any]]

IMAGE_SUFFIX = '/image_raw/compressed'
NO_STAMP = -1
REQUIRED = ('tick', 'joint_states', 'control_step', 'executed_command')
# A shorter piece, such as an episode's last, may lack a topic.
_WHOLE_NS = 1_000_000_000
_READERS = {
    'tick': ('lwd_msgs/msg/Tick', CdrColumns(lwd.Tick, 'image_stamps')),
    'joint_states': ('sensor_msgs/msg/JointState', CdrColumns(JointState, 'position')),
    'control_step': ('lwd_msgs/msg/ControlStep', CdrColumns(lwd.ControlStep, 'joint_names')),
    'executed_command': (
        'lwd_msgs/msg/ExecutedCommand', CdrColumns(lwd.ExecutedCommand, 'hold_reason')),
    'reward': ('lwd_msgs/msg/Reward', CdrColumns(lwd.Reward, 'terminal')),
    'scene_features': (
        'lwd_msgs/msg/SceneFeatures', CdrColumns(lwd.SceneFeatures, 'values', span=True)),
    'image': ('sensor_msgs/msg/CompressedImage', CdrColumns(CompressedImage, 'data', span=True)),
}


@dataclass
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
    """Of the column `version` of steps."""
    layout: str
    """Of the scene features; empty if there are none."""


class _Builder:
    def __init__(self, scan: Scan) -> None:
        self._scan = scan
        self._topics: dict[str, Topic] = {}
        self._cameras: dict[str, Topic] = {}
        self._camera_count = 0
        self._known: dict[str, list[Group]] = {}
        for topic in scan.topics.values():
            if topic.name.endswith(IMAGE_SUFFIX):
                camera = topic.name.removesuffix(IMAGE_SUFFIX).rpartition('/')[2]
                self._cameras[camera] = self._checked(topic, 'image')
            elif (name := topic.name.rpartition('/')[2]) in _READERS:
                self._topics[name] = self._checked(topic, name)

    def _checked(self, topic: Topic, name: str) -> Topic:
        wanted = _READERS[name][0]
        if (topic.type_name, topic.encoding) != (wanted, 'cdr'):
            raise IndexFileError(
                f'{self._scan.path}: {topic.name} is of type {topic.type_name} in '
                f'{topic.encoding}, not {wanted} in cdr')
        return topic

    def build(self) -> Tables:
        self._check_topics()
        cameras = tuple(sorted({
            camera for name in ('tick', 'control_step') for group in self._groups(name)
            for camera in group.texts('cameras')} | set(self._cameras)))
        self._camera_count = len(cameras)
        versions = tuple(sorted(
            {''} | {group.text('policy_version') for group in self._groups('control_step')}))
        layouts = {group.text('layout') for group in self._groups('scene_features')}
        if len(layouts) > 1:
            raise self._wrong('scene_features.layout', f'names {sorted(layouts)} in one segment')
        return Tables(
            self._ticks(cameras), self._joints(), self._steps(cameras, versions),
            self._executed(), self._rewards(), self._scenes(),
            {camera: self._images(camera) for camera in self._cameras}, cameras, versions,
            next(iter(layouts), ''))

    def _check_topics(self) -> None:
        stamps = [stamp for topic in self._topics.values()
                  for stamp in (topic.stamp_ns[0], topic.stamp_ns[-1])]
        if stamps and max(stamps) - min(stamps) < _WHOLE_NS:
            return
        missing = [name for name in REQUIRED if name not in self._topics]
        if missing:
            raise IndexFileError(
                f'{self._scan.path} lacks topics that an episode has: {", ".join(missing)}; it '
                f'has {", ".join(sorted(self._scan.topics)) or "none"}')

    def _wrong(self, field: str, what: str) -> IndexFileError:
        return IndexFileError(f'{self._scan.path}: {field} {what}')

    def _groups(self, name: str) -> list[Group]:
        if name not in self._known:
            topic = self._topics.get(name)
            self._known[name] = self._read(topic, name) if topic is not None else []
        return self._known[name]

    def _read(self, topic: Topic, name: str) -> list[Group]:
        where = f'{self._scan.path}: {topic.name}'
        return list(_READERS[name][1].groups(
            where, self._scan.data, topic.offset, topic.length))

    def _ticks(self, cameras: tuple[str, ...]) -> Table:
        return _last_of_each('tick', self._stack('tick', lambda group: {
            'tick': _signed(group.number('tick')),
            'stamp': group.nanoseconds('header.stamp')[:, 0],
            'joint_stamp': group.nanoseconds('joint_state_stamp')[:, 0],
            'image_stamp': self._image_stamps(group, cameras, 'tick')}))

    def _image_stamps(
        self, group: Group, cameras: tuple[str, ...], name: str,
    ) -> NDArray[np.int64]:
        stamps = group.nanoseconds('image_stamps')
        seen = group.texts('cameras')
        if stamps.shape[1] != len(seen):
            raise self._wrong(
                f'{name}.image_stamps', f'has {stamps.shape[1]} entries for cameras {seen}')
        found = np.full((len(group.rows), len(cameras)), NO_STAMP, np.int64)
        for k, camera in enumerate(seen):
            found[:, cameras.index(camera)] = stamps[:, k]
        return found

    def _joints(self) -> Table:
        def read(group: Group) -> Table:
            if group.texts('name') != STATE_NAMES:
                raise self._wrong(
                    'joint_states.name', f'is {_short(group.texts("name"))}, not the '
                    f'{len(STATE_NAMES)} joints of g1_description.joints.STATE_NAMES in order')
            return {'state': self._sized(group, 'position', 'joint_states', len(STATE_NAMES))}

        table = self._stack('joint_states', read)
        topic = self._topics.get('joint_states')
        table['log_stamp'] = np.array(topic.stamp_ns if topic else (), np.int64)
        self._finite('joint_states.position', table['state'], table['log_stamp'], 'stamp')
        return _last_of_each('log_stamp', table)

    def _sized(self, group: Group, field: str, name: str, size: int) -> NDArray[Any]:
        values = group.numbers(field)
        if values.shape[1] != size:
            raise self._wrong(f'{name}.{field}', f'has {values.shape[1]} entries, not {size}')
        return values

    def _command_names(self, group: Group, name: str, *, may_be_empty: bool) -> None:
        names = group.texts('joint_names')
        if names != COMMAND_NAMES and not (may_be_empty and not names):
            raise self._wrong(
                f'{name}.joint_names', f'is {_short(names)}: another action layout than '
                f'g1_description.joints.COMMAND_NAMES ({_short(COMMAND_NAMES)})')

    def _steps(self, cameras: tuple[str, ...], versions: tuple[str, ...]) -> Table:
        def read(group: Group) -> Table:
            self._command_names(group, 'control_step', may_be_empty=True)
            version = versions.index(group.text('policy_version'))
            return {
                'tick': _signed(group.number('tick')),
                'source': group.number('source'),
                'version': np.full(len(group.rows), version, np.int32),
                'chunk_id': _signed(group.number('chunk_id')),
                'chunk_index': group.number('chunk_index').astype(np.int32),
                'image_stamp': self._image_stamps(group, cameras, 'control_step')}

        return _last_of_each('tick', self._stack('control_step', read))

    def _executed(self) -> Table:
        count = len(COMMAND_NAMES)

        def read(group: Group) -> Table:
            self._command_names(group, 'executed_command', may_be_empty=False)
            requested = group.numbers('requested')
            if requested.shape[1] == 0:
                requested = np.full((len(group.rows), count), np.nan)
            elif requested.shape[1] != count:
                raise self._wrong(
                    'executed_command.requested',
                    f'has {requested.shape[1]} entries, not {count} or none')
            return {
                'tick': _signed(group.number('tick')), 'requested': requested,
                'executed': self._sized(group, 'positions', 'executed_command', count),
                'clipped': self._sized(group, 'clips', 'executed_command', count),
                'driver_state': group.number('state'),
                'hold_reason': group.number('hold_reason')}

        table = self._stack('executed_command', read)
        self._finite('executed_command.positions', table['executed'], table['tick'], 'tick')
        return _last_of_each('tick', table)

    def _rewards(self) -> Table:
        table = self._stack('reward', lambda group: {
            'tick': _signed(group.number('tick')), 'reward': group.number('reward'),
            'score': group.number('score'), 'terminal': group.number('terminal')})
        self._finite('reward.reward', table['reward'][:, None], table['tick'], 'tick')
        return _last_of_each('tick', table)

    def _scenes(self) -> Table:
        def read(group: Group) -> Table:
            name = group.text('layout')
            if name not in LAYOUTS:
                raise self._wrong(
                    'scene_features.layout', f'is {name!r}; known are {", ".join(LAYOUTS)}')
            offset, count = group.span('values')
            size = LAYOUTS[name].size
            if (wrong := count != size).any():
                raise self._wrong(
                    'scene_features.values',
                    f'has {count[wrong][0]} numbers; layout {name} has {size}')
            return {'tick': _signed(group.number('tick')), 'offset': offset}

        table = self._stack('scene_features', read)
        if len(table['tick']):
            size = 4 * LAYOUTS[self._groups('scene_features')[0].text('layout')].size
            view = memoryview(self._scan.data)
            values = np.frombuffer(
                b''.join([view[at:at + size] for at in table['offset'].tolist()]), '<f4')
            self._finite('scene_features.values', values.reshape(-1, size // 4), table['tick'],
                         'tick')
        return _last_of_each('tick', table)

    def _images(self, camera: str) -> Table:
        groups = self._read(self._cameras[camera], 'image')
        count = len(self._cameras[camera].offset)
        table = {name: np.zeros(count, np.int64) for name in ('stamp', 'offset', 'length')}
        for group in groups:
            if 'jpeg' not in group.text('format'):
                raise self._wrong(
                    f'{camera}{IMAGE_SUFFIX}.format', f'is {group.text("format")!r}, not jpeg')
            table['stamp'][group.rows] = group.nanoseconds('header.stamp')[:, 0]
            table['offset'][group.rows], table['length'][group.rows] = group.span('data')
        return _last_of_each('stamp', table)

    def _finite(
        self, field: str, values: NDArray[Any], keys: NDArray[np.int64], key: str,
    ) -> None:
        wrong = ~np.isfinite(values)
        if wrong.any():
            row, column = (int(index[0]) for index in np.nonzero(wrong))
            raise self._wrong(
                field, f'is {values[row, column]} at {key} {keys[row]}, entry {column}; a learner '
                'must not see it: mend or leave out the episode')

    def _stack(self, name: str, read: Any) -> Table:
        """Return the columns that `read` makes of each group, in the messages' order."""
        groups = self._groups(name)
        if not groups:
            empty = {key: np.zeros((0, *shape), dtype)
                     for key, (dtype, shape) in _EMPTY[name].items()}
            if 'image_stamp' in empty:
                empty['image_stamp'] = np.zeros((0, self._camera_count), np.int64)
            return empty
        parts = [read(group) for group in groups]
        order = np.argsort(np.concatenate([group.rows for group in groups]), kind='stable')
        return {key: np.concatenate([part[key] for part in parts])[order] for key in parts[0]}


_EMPTY: dict[str, dict[str, tuple[str, tuple[int, ...]]]] = {
    'tick': {'tick': ('i8', ()), 'stamp': ('i8', ()), 'joint_stamp': ('i8', ()),
             'image_stamp': ('i8', (0,))},
    'joint_states': {'state': ('f8', (20,))},
    'control_step': {'tick': ('i8', ()), 'source': ('u1', ()), 'version': ('i4', ()),
                     'chunk_id': ('i8', ()), 'chunk_index': ('i4', ()),
                     'image_stamp': ('i8', (0,))},
    'executed_command': {'tick': ('i8', ()), 'requested': ('f8', (16,)),
                         'executed': ('f8', (16,)), 'clipped': ('u1', (16,)),
                         'driver_state': ('u1', ()), 'hold_reason': ('u1', ())},
    'reward': {'tick': ('i8', ()), 'reward': ('f8', ()), 'score': ('f8', ()),
               'terminal': ('u1', ())},
    'scene_features': {'tick': ('i8', ()), 'offset': ('i8', ())},
}


def _signed(values: NDArray[Any]) -> NDArray[np.int64]:
    return values.astype(np.int64)


def _short(names: tuple[str, ...]) -> str:
    return f'[{", ".join(names[:3])}{", ..." if len(names) > 3 else ""}] ({len(names)})'


def _last_of_each(key: str, table: Table) -> Table:
    """Sort by a key; of rows with the same one the last message wins, as for a reader."""
    keys = table[key]
    if len(keys) < 2 or (np.diff(keys) > 0).all():
        return table
    # The first of each in the reversed order is the last message.
    _, first = np.unique(keys[::-1], return_index=True)
    rows = len(keys) - 1 - first
    return {name: column[rows] for name, column in table.items()}


def read_tables(scan: Scan) -> Tables:
    """Read the tables of a segment.

    Raises:
        IndexFileError: Something in it is not what an episode of this version has; the message
            names file, field and value.
    """
    return _Builder(scan).build()
