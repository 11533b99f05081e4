# SPDX-License-Identifier: Apache-2.0
"""The topics of a segment that replay reads: found, read, and held to what an episode has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, JointState

from g1_description.joints import COMMAND_NAMES
from lwd_data.errors import IndexFileError
from lwd_data.replay.cdr_columns import CdrColumns, Group
from lwd_data.replay.mcap_scan import Scan, Topic
from lwd_msgs import msg as lwd

Table = dict[str, NDArray[Any]]

IMAGE_SUFFIX = '/image_raw/compressed'
REQUIRED = ('tick', 'joint_states', 'control_step', 'executed_command')
# A shorter piece, such as an episode's last, may lack a topic.
_WHOLE_NS = 1_000_000_000
_IMAGE = 'image'
_READERS = {
    'tick': ('lwd_msgs/msg/Tick', CdrColumns(lwd.Tick, 'image_stamps')),
    'joint_states': ('sensor_msgs/msg/JointState', CdrColumns(JointState, 'position')),
    'control_step': ('lwd_msgs/msg/ControlStep', CdrColumns(lwd.ControlStep, 'joint_names')),
    'executed_command': (
        'lwd_msgs/msg/ExecutedCommand', CdrColumns(lwd.ExecutedCommand, 'hold_reason')),
    'reward': ('lwd_msgs/msg/Reward', CdrColumns(lwd.Reward, 'terminal')),
    'scene_features': (
        'lwd_msgs/msg/SceneFeatures', CdrColumns(lwd.SceneFeatures, 'values', span=True)),
    _IMAGE: ('sensor_msgs/msg/CompressedImage', CdrColumns(CompressedImage, 'data', span=True)),
}


class Topics:
    """The messages of a segment, by the last part of their topic's name, and images by camera."""

    def __init__(self, scan: Scan) -> None:
        """Read them.

        Raises:
            IndexFileError: A topic is missing, of another type, or its messages are damaged.
        """
        self.path: Path = scan.path
        self.data: bytes = scan.data
        self.stamps: dict[str, list[int]] = {}
        """By name: stamps of the messages, ns."""
        self.groups: dict[str, list[Group]] = {name: [] for name in _READERS if name != _IMAGE}
        self.images: dict[str, list[Group]] = {}
        for topic in scan.topics.values():
            name = topic.name.rpartition('/')[2]
            if topic.name.endswith(IMAGE_SUFFIX):
                camera = topic.name.removesuffix(IMAGE_SUFFIX).rpartition('/')[2]
                self.images[camera] = self._read(topic, _IMAGE)
            elif name in self.groups:
                if name in self.stamps:
                    raise self.wrong(topic.name, 'is a second topic of that name: one file, one '
                                     'robot')
                self.groups[name] = self._read(topic, name)
                self.stamps[name] = topic.stamp_ns
        self._check_complete(scan)

    def _read(self, topic: Topic, name: str) -> list[Group]:
        kind, columns = _READERS[name]
        if (topic.type_name, topic.encoding) != (kind, 'cdr'):
            raise self.wrong(topic.name, f'is of type {topic.type_name} in {topic.encoding}, not '
                             f'{kind} in cdr')
        return list(columns.groups(
            f'{self.path}: {topic.name}', self.data, topic.offset, topic.length))

    def _check_complete(self, scan: Scan) -> None:
        ends = [stamp for stamps in self.stamps.values() for stamp in (stamps[0], stamps[-1])]
        missing = [name for name in REQUIRED if name not in self.stamps]
        if missing and (not ends or max(ends) - min(ends) >= _WHOLE_NS) and scan.topics:
            raise IndexFileError(
                f'{self.path} lacks topics that an episode has: {", ".join(missing)}; it has '
                f'{", ".join(sorted(scan.topics))}')

    def wrong(self, field: str, what: str) -> IndexFileError:
        """Return an error that names the file and a field."""
        return IndexFileError(f'{self.path}: {field} {what}')

    def table(self, name: str, read: Callable[[Group], Table], empty: Table) -> Table:
        """Return the columns that `read` makes of each group, in the order of the messages.

        Args:
            name: Of the topic.
            read: Makes columns, (M, ...), of a group of M messages.
            empty: Columns of no rows, for a segment without that topic.
        """
        groups = self.groups[name]
        if not groups:
            return empty
        parts = [read(group) for group in groups]
        if len(parts) == 1:
            return parts[0]
        order = np.argsort(np.concatenate([group.rows for group in groups]), kind='stable')
        return {key: np.concatenate([part[key] for part in parts])[order] for key in parts[0]}

    def sized(self, group: Group, topic: str, field: str, size: int) -> NDArray[Any]:
        """Return a field's numbers, (M, size).

        Raises:
            IndexFileError: There are more or fewer.
        """
        values = group.numbers(field)
        if values.shape[1] != size:
            raise self.wrong(f'{topic}.{field}', f'has {values.shape[1]} entries, not {size}')
        return values

    def check_command_names(self, group: Group, topic: str, *, may_be_empty: bool) -> None:
        """Refuse commands of another action layout.

        Raises:
            IndexFileError: They are.
        """
        names = group.texts('joint_names')
        if names != COMMAND_NAMES and not (may_be_empty and not names):
            raise self.wrong(
                f'{topic}.joint_names', f'is {short(names)}: another action layout than '
                f'g1_description.joints.COMMAND_NAMES, {short(COMMAND_NAMES)}')

    def check_finite(
        self, field: str, values: NDArray[Any], key: str, keys: NDArray[np.int64],
    ) -> None:
        """Refuse values that are not finite, (N, D); the error names the first one's key.

        Raises:
            IndexFileError: There is one.
        """
        wrong = ~np.isfinite(values)
        if wrong.any():
            row, column = (int(index[0]) for index in np.nonzero(wrong))
            raise self.wrong(
                field, f'is {values[row, column]} at {key} {keys[row]}, entry {column}; a learner '
                'must not see it: leave the episode out')


def short(names: tuple[str, ...]) -> str:
    """Return names for a message: the first few, and how many there are."""
    return f'[{", ".join(names[:3])}{", ..." if len(names) > 3 else ""}] ({len(names)})'
