# SPDX-License-Identifier: Apache-2.0
"""Reads a closed segment once: its hash, and whether a human was in control."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from rclpy.serialization import deserialize_message

from lwd_data.errors import IndexFileError
from lwd_data.replay.mcap_scan import scan
from lwd_learner_bridge.errors import SpoolError
from lwd_msgs.msg import Intervention

_TOPIC = '/intervention'


class Inspected(NamedTuple):
    """What was found, and of which state of the file."""

    size: int
    changed_ns: int
    sha256: str
    intervention: bool


def inspect(path: Path) -> Inspected:
    """Read a segment.

    Raises:
        SpoolError: It is not there, or cannot be read.
    """
    try:
        status = path.stat()
        data = path.read_bytes()
    except OSError as error:
        raise SpoolError(f'{path} cannot be uploaded: {error.strerror}') from error
    return Inspected(
        len(data), status.st_mtime_ns, hashlib.sha256(data).hexdigest(), _intervened(path, data))


def _intervened(path: Path, data: bytes) -> bool:
    try:
        topics = scan(path, data).topics
    except IndexFileError:
        # Damaged: it is for the learner side to say so, and to keep it.
        return False
    return any(
        deserialize_message(data[offset:offset + length], Intervention).active
        for name, topic in topics.items() if name.endswith(_TOPIC)
        for offset, length in zip(topic.offset, topic.length))
