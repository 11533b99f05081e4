# SPDX-License-Identifier: Apache-2.0
"""Holds a segment that arrived against its notice, and against what an episode has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from mcap.exceptions import McapError
from mcap.reader import make_reader
from rclpy.serialization import deserialize_message

from lwd_data.errors import IndexFileError
from lwd_data.replay.index import SegmentIndex, ensure_index
from lwd_data.replay.join import join
from lwd_data.replay.topics import REQUIRED
from lwd_learner_bridge.errors import DamagedError, MissingError, RefusedError, TransferError
from lwd_learner_bridge.store.notice import Notice, SegmentFacts
from lwd_msgs.msg import ControlStep

_STEP = 'control_step'


def check(
    path: Path, notice: Notice, segment: SegmentFacts, others: Mapping[int, SegmentIndex],
) -> None:
    """Check a segment and make its index.

    Args:
        path: The file.
        notice: What the robot says of it.
        segment: The notice's segment.
        others: By number: indexes of the episode's other segments.

    Raises:
        MissingError: The file is not there.
        DamagedError: It is not what was sent.
        RefusedError: It is, and cannot be trained on; the message says why.
        TransferError: This machine cannot say, for example because its disk is full.
    """
    try:
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise MissingError(f'{path} is not there') from error
    except OSError as error:
        raise TransferError(f'{path} cannot be read: {error.strerror}') from error
    if size != segment.size:
        raise DamagedError(f'{path.name} arrived with {size} bytes, not {segment.size}')
    index = _index(path, segment)
    _check_origin(path, notice)
    try:
        join([one for _, one in sorted({**others, segment.number: index}.items())],
             finished=False)
    except IndexFileError as error:
        raise RefusedError(str(error)) from error


def _index(path: Path, segment: SegmentFacts) -> SegmentIndex:
    try:
        index = ensure_index(path)
    except IndexFileError as error:
        if isinstance(error.__cause__, OSError):
            raise TransferError(str(error)) from error
        if _hash(path) != segment.sha256:
            raise DamagedError(f'{path.name} arrived damaged: {error}') from error
        raise RefusedError(str(error)) from error
    if index.sha256 != segment.sha256:
        raise DamagedError(
            f'{path.name} arrived with SHA-256 {index.sha256[:12]}, not {segment.sha256[:12]}')
    return index


def _hash(path: Path) -> str:
    try:
        with path.open('rb') as file:
            return hashlib.file_digest(file, 'sha256').hexdigest()
    except OSError as error:
        raise TransferError(f'{path} cannot be read: {error.strerror}') from error


def _check_origin(path: Path, notice: Notice) -> None:
    """Refuse a segment of another robot or episode than its notice names."""
    try:
        with path.open('rb') as file:
            reader = make_reader(file)
            summary = reader.get_summary()
            topics = [] if summary is None else [
                channel.topic for channel in summary.channels.values()]
            steps = [topic for topic in topics if topic.rpartition('/')[2] == _STEP]
            first = next(iter(reader.iter_messages(steps)), None) if steps else None
    except (McapError, OSError, ValueError) as error:
        raise RefusedError(f'{path.name} has no readable summary: {error}') from error
    for topic in topics:
        owner, _, name = topic.rpartition('/')
        if name in REQUIRED and owner != f'/{notice.robot}':
            raise RefusedError(
                f'{path.name} has the topic {topic}; it came as a segment of {notice.robot}. Is '
                'it of another robot?')
    if first is None:
        return
    step = deserialize_message(first[2].data, ControlStep)
    if step.episode_id and step.episode_id != notice.episode:
        raise RefusedError(
            f'{path.name} holds steps of the episode {step.episode_id!r}; it came as one of '
            f'{notice.episode!r}. Was it renamed?')
