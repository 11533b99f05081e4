# SPDX-License-Identifier: Apache-2.0
"""Saves what an interrupted recorder left: open segments up to their last complete message."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mcap.exceptions import McapError
from mcap.records import Channel, Message, Schema
from mcap.stream_reader import StreamReader

from lwd_data import metadata as metadata_file
from lwd_data.errors import ReadError
from lwd_data.metadata import Metadata, Segment
from lwd_data.writer import OPEN, SegmentWriter

_ASIDE = '.interrupted'


def recover(folder: Path, custom: dict[str, str] | None = None) -> Metadata | None:
    """Recover an episode's folder in place; the unfinished files are kept beside, renamed.

    Closed segments stay as they are. Each open one is written anew from its complete messages and
    marked in metadata.yaml. Safe to run again, also after being interrupted itself.

    Args:
        folder: The episode.
        custom: What to add to custom_data if anything was recovered, for example a label.

    Returns:
        The metadata, or None if nothing in the folder could be read at all.
    """
    unfinished = _unfinished(folder)
    closed = sorted(folder.glob('*.mcap'), key=_number)
    known = _known(folder)
    if not unfinished and known is not None and len(known.segments) == len(closed):
        return known
    metadata = Metadata(custom=dict(known.custom) if known else {})
    marked = {segment.file for segment in known.segments if segment.recovered} if known else set()
    for path in closed:
        # It has its final name, so it is whole; only metadata.yaml may not know of it yet.
        segment = _scan(path, metadata)
        segment.recovered = path.name in marked
        metadata.segments.append(segment)
    for final in unfinished:
        if (segment_or_none := _rewrite(final, metadata)) is not None:
            metadata.segments.append(segment_or_none)
    if not metadata.segments:
        return None
    metadata.segments.sort(key=lambda segment: segment.begin_ns)
    metadata.custom.update(custom or {})
    metadata_file.write(folder, metadata)
    return metadata


def _unfinished(folder: Path) -> list[Path]:
    """Return the final names of segments that were open, or whose recovery was interrupted."""
    names = {path.with_name(path.name.removesuffix(suffix)) for suffix in (OPEN, _ASIDE)
             for path in folder.glob('*' + suffix)}
    return sorted(path for path in names if not path.exists())


def _number(path: Path) -> int:
    text = path.stem.rpartition('_')[2]
    return int(text) if text.isdigit() else 0


def _known(folder: Path) -> Metadata | None:
    try:
        return metadata_file.read(folder)
    except ReadError:
        return None


def _rewrite(final: Path, metadata: Metadata) -> Segment | None:
    """Write an open segment anew under its final name; None if it holds no message."""
    unfinished = final.with_name(final.name + OPEN)
    aside = final.with_name(final.name + _ASIDE)
    if not aside.exists():
        unfinished.rename(aside)
    elif unfinished.exists():
        # A recovery was itself interrupted: this is what it had written by then.
        unfinished.unlink()
    writer: SegmentWriter | None = None
    for schema, channel, message in complete_messages(aside):
        if writer is None:
            writer = SegmentWriter(final)
        metadata.topics.setdefault(channel.topic, schema.name)
        writer.write(channel.topic, schema.name, message.data, message.log_time)
    if writer is None:
        return None
    segment = writer.close()
    segment.recovered = True
    return segment


def _scan(path: Path, metadata: Metadata) -> Segment:
    segment = Segment(path.name, 0, 0)
    for schema, channel, message in complete_messages(path):
        metadata.topics.setdefault(channel.topic, schema.name)
        if not segment.counts or message.log_time < segment.begin_ns:
            segment.begin_ns = message.log_time
        segment.end_ns = max(segment.end_ns, message.log_time)
        segment.counts[channel.topic] = segment.counts.get(channel.topic, 0) + 1
    return segment


def complete_messages(path: Path) -> Iterator[tuple[Schema, Channel, Message]]:
    """Yield the messages of an MCAP file, up to where it breaks off."""
    schemas: dict[int, Schema] = {}
    channels: dict[int, Channel] = {}
    with path.open('rb') as file:
        try:
            for record in StreamReader(file).records:
                if isinstance(record, Schema):
                    schemas[record.id] = record
                elif isinstance(record, Channel):
                    channels[record.id] = record
                elif isinstance(record, Message):
                    channel = channels[record.channel_id]
                    yield schemas[channel.schema_id], channel, record
        except (McapError, EOFError, KeyError, ValueError):
            # Cut off in the middle of a record: what came before is whole.
            return
