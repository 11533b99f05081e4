# SPDX-License-Identifier: Apache-2.0
"""Keeps a spool within its disk budget: deletes only what the learner side has confirmed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from lwd_data.writer import OPEN
from lwd_learner_bridge.errors import SpoolError
from lwd_learner_bridge.upload.ledger import Ledger
from lwd_learner_bridge.upload.queue import Tracked
from lwd_learner_bridge.upload.spool import STATE, SpooledEpisode

_TRASH = 'trash'


def prune(
    spool: Path, tracked: Mapping[str, Tracked], budget: float, report: Callable[[str], None],
) -> tuple[int, list[str]]:
    """Delete confirmed episodes, the oldest first, until a spool keeps its budget.

    Args:
        spool: Its folder.
        tracked: All episodes of the robot.
        budget: Bytes.
        report: Told what could not be deleted.

    Returns:
        Bytes that are left, and the names of what was deleted.
    """
    sizes = {name: size_of(one.episode.folder) for name, one in tracked.items()}
    left, gone = sum(sizes.values()), []
    for one in sorted(tracked.values(), key=lambda one: (one.episode.begin_ns, one.episode.name)):
        if left <= budget:
            break
        if not deletable(one.episode, one.ledger):
            continue
        try:
            discard(one.episode, spool)
        except SpoolError as error:
            report(str(error))
            continue
        gone.append(one.episode.name)
        left -= sizes[one.episode.name]
    return left, gone


def size_of(folder: Path) -> int:
    """Return the bytes of the files in an episode's folder; 0 if it is gone."""
    total = 0
    try:
        for path in folder.iterdir():
            try:
                total += path.stat().st_size
            except FileNotFoundError:
                # The recorder renames files when it closes them.
                continue
    except FileNotFoundError:
        return 0
    return total


def deletable(episode: SpooledEpisode, ledger: Ledger) -> bool:
    """Return whether all of an episode is confirmed, as it lies here now."""
    if not (episode.ended and ledger.settled(len(episode.segments))):
        return False
    for segment in episode.segments:
        entry = ledger.segments.get(segment.number)
        try:
            status = segment.path.stat()
        except OSError:
            return False
        if entry is None or (entry.size, entry.changed_ns) != (status.st_size, status.st_mtime_ns):
            return False
    # What metadata.yaml does not list was never uploaded; remains of a recovered segment may go.
    listed = {segment.path.name for segment in episode.segments}
    return not any(episode.folder.glob(f'*{OPEN}')) and all(
        path.name in listed for path in episode.folder.glob('*.mcap'))


def discard(episode: SpooledEpisode, spool: Path) -> None:
    """Delete an episode; a recorder that looks meanwhile sees all of it or nothing.

    Raises:
        SpoolError: The disk refuses.
    """
    trash = spool / STATE / _TRASH
    try:
        trash.mkdir(parents=True, exist_ok=True)
        target = trash / f'{episode.robot}-{episode.name}'
        episode.folder.rename(target)
        shutil.rmtree(target)
    except OSError as error:
        raise SpoolError(f'cannot delete {episode.folder}: {error.strerror}') from error


def empty_trash(spool: Path, robot: str) -> None:
    """Finish what was being deleted when the process ended."""
    trash = spool / STATE / _TRASH
    for path in trash.glob(f'{robot}-*'):
        shutil.rmtree(path, ignore_errors=True)

