# SPDX-License-Identifier: Apache-2.0
"""From files to what the catalogue registers: finds episodes, makes indexes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from lwd_data import metadata as metadata_file
from lwd_data.errors import IndexFileError
from lwd_data.metadata import Metadata
from lwd_data.replay.index import ensure_index
from lwd_data.replay.join import join
from lwd_data.replay.records import ORIGINS, EpisodeRecord, Origin, SegmentRecord

_PART = '.part'


@dataclass(frozen=True)
class Entry:
    """One segment to register, with what is known of its episode."""

    episode: EpisodeRecord
    """Its segments are left empty."""
    segment: SegmentRecord


def episode_folders(folder: Path) -> Iterator[Path]:
    """Yield the episode folders under a folder, it included, in order of their paths.

    Folders named `*.part` are being written and are left out.
    """
    if (folder / metadata_file.FILE).is_file():
        yield folder
        return
    if folder.is_dir():
        for child in sorted(folder.iterdir()):
            if child.is_dir() and not child.name.endswith(_PART):
                yield from episode_folders(child)


def read_episode(folder: Path, origin: Origin) -> tuple[EpisodeRecord, Metadata]:
    """Read what metadata.yaml says of an episode.

    Raises:
        ReadError: It is missing or damaged.
        IndexFileError: It does not say which task it is of, or the origin is unknown.
    """
    if origin not in ORIGINS:
        raise IndexFileError(f'origin is {origin!r}; it is one of {", ".join(ORIGINS)}')
    metadata = metadata_file.read(folder)
    custom = metadata.custom
    for key in ('task', 'instruction'):
        if not custom.get(key):
            raise IndexFileError(
                f'{folder / metadata_file.FILE} has no {key} in custom_data; a policy cannot be '
                'told what to do in this episode')
    return EpisodeRecord(
        custom.get('episode_id') or folder.name, folder, custom.get('robot', ''), custom['task'],
        custom['instruction'], origin, custom.get('label', ''),
        json.dumps(custom, sort_keys=True)), metadata


def ingest(folder: Path, origin: Origin) -> list[Entry]:
    """Index the segments of an episode that are there, up to the first missing one.

    Raises:
        ReadError: See read_episode.
        IndexFileError: A segment cannot be trained on; the message says why.
    """
    episode, metadata = read_episode(folder, origin)
    entries, indexes = [], []
    for number, segment in enumerate(metadata.segments):
        if Path(segment.file).name != segment.file:
            raise IndexFileError(
                f'{folder / metadata_file.FILE} names the segment {segment.file!r}; a segment '
                "lies in its episode's folder")
        path = folder / segment.file
        if not path.is_file():
            break
        index = ensure_index(path)
        indexes.append(index)
        entries.append(Entry(episode, SegmentRecord(
            number, segment.file, index.size, index.sha256, segment.recovered)))
    if indexes:
        # Segments that contradict each other are refused here, not when a learner opens them.
        join(indexes, finished=bool(episode.label))
    return entries


def ingest_all(
    folder: Path, origin: Origin, *, processes: int = 1,
) -> Iterator[list[Entry]]:
    """Index all episodes under a folder, in the order of their paths.

    Args:
        folder: Searched recursively.
        origin: Of all of them.
        processes: How many; 0 for one a core.

    Raises:
        ReadError, IndexFileError: See ingest.
    """
    folders = list(episode_folders(folder))
    processes = processes or os.cpu_count() or 1
    if processes == 1 or len(folders) < 2:
        for one in folders:
            yield ingest(one, origin)
        return
    # Fresh processes: a fork would copy whatever threads the caller has.
    with ProcessPoolExecutor(processes, mp_context=get_context('spawn')) as executor:
        yield from executor.map(
            ingest, folders, [origin] * len(folders), chunksize=max(1, min(32, len(folders) // 8)))
