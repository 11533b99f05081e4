# SPDX-License-Identifier: Apache-2.0
"""Holds the files of a snapshot against what was registered, before any of them is used."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from lwd_data.errors import CatalogueError, IndexFileError
from lwd_data.replay.files import Files
from lwd_data.replay.index import ensure_index
from lwd_data.replay.records import EpisodeRecord, SegmentRecord

_NAMED = 5


def check_files(records: Iterable[EpisodeRecord], files: Files) -> None:
    """Make sure that all segments are there, as they were registered, and indexed.

    A file that has the size and time of change that its index notes is taken as unchanged; another
    one is hashed again, and a lost index made again.

    Raises:
        CatalogueError: Some are missing or changed; the message names them.
    """
    wrong = [
        problem for record in records for segment in record.segments
        if (problem := _problem(f'{record.folder}/{segment.file}', segment, files))]
    if wrong:
        more = f'; and {len(wrong) - _NAMED} more' if len(wrong) > _NAMED else ''
        raise CatalogueError(
            f'{len(wrong)} files of the snapshot are not as they were registered: '
            f'{"; ".join(wrong[:_NAMED])}{more}. Restore them, or take another snapshot')


def _problem(path: str, segment: SegmentRecord, files: Files) -> str:
    try:
        status = os.stat(path)
    except OSError as error:
        return f'{path} is missing ({error.strerror})'
    if status.st_size != segment.size:
        return f'{path} has {status.st_size} bytes, not {segment.size}'
    try:
        index = files.index(path)
        fresh = index.changed_ns == status.st_mtime_ns
    except IndexFileError:
        fresh = False
    if not fresh:
        files.forget(path)
        try:
            index = ensure_index(Path(path))
        except IndexFileError as error:
            return str(error)
    if index.sha256 != segment.sha256:
        return f'{path} has SHA-256 {index.sha256[:12]}, not {segment.sha256[:12]}'
    return ''
