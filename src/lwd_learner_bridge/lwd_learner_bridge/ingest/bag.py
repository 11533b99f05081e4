# SPDX-License-Identifier: Apache-2.0
"""Makes an episode that is complete a bag of its own, which every ROS tool opens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mcap.reader import make_reader
from mcap.records import Statistics

from lwd_data import metadata as metadata_file
from lwd_data.metadata import Metadata, Segment
from lwd_data.replay.records import SegmentRecord
from lwd_learner_bridge.errors import TransferError


def write_metadata(folder: Path, segments: Sequence[SegmentRecord], custom: str) -> None:
    """Write an episode's metadata.yaml beside its segments.

    Args:
        folder: Where they lie.
        segments: All of them.
        custom: custom_data, JSON.

    Raises:
        TransferError: The disk refuses, or a segment is gone.
    """
    metadata = Metadata(custom=json.loads(custom))
    try:
        for record in segments:
            with (folder / record.file).open('rb') as file:
                # It was read by the same library when it was checked.
                summary = make_reader(file).get_summary()
            statistics = summary.statistics if summary else None
            if summary is None or statistics is None:
                continue
            for channel in summary.channels.values():
                metadata.topics.setdefault(channel.topic, summary.schemas[channel.schema_id].name)
            metadata.segments.append(Segment(
                record.file, statistics.message_start_time, statistics.message_end_time,
                _counts(statistics, {number: channel.topic for number, channel
                                     in summary.channels.items()}), record.recovered))
        metadata_file.write(folder, metadata)
    except OSError as error:
        raise TransferError(
            f'cannot write {folder / metadata_file.FILE}: {error.strerror}') from error


def _counts(statistics: Statistics, topics: dict[int, str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for channel, count in statistics.channel_message_counts.items():
        counts[topics[channel]] = counts.get(topics[channel], 0) + count
    return counts
