# SPDX-License-Identifier: Apache-2.0
"""What a spool holds, by how far it has come; needs neither the uploader nor the store."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from lwd_learner_bridge.errors import SpoolError
from lwd_learner_bridge.store.names import is_word
from lwd_learner_bridge.upload.ledger import Ledger, Ledgers
from lwd_learner_bridge.upload.spool import Spool


@dataclass
class Backlog:
    """Of one robot."""

    robot: str
    episodes: int = 0
    count: Counter[str] = field(default_factory=Counter)
    """Segments by state: waiting, uploaded, registered, quarantined, unreadable."""
    size: Counter[str] = field(default_factory=Counter)
    """Their bytes."""
    problems: list[str] = field(default_factory=list)
    """What cannot be uploaded, and what is in quarantine, with the reason."""


def backlogs(spool: Path, robot: str = '') -> list[Backlog]:
    """Return the backlog of each robot of a spool, or of one.

    Raises:
        SpoolError: It cannot be read, or has no such robot.
    """
    try:
        robots = sorted(
            path.name for path in spool.iterdir() if path.is_dir() and is_word(path.name)
            and not path.name.startswith('.'))
    except OSError as error:
        raise SpoolError(f'the spool {spool} cannot be read: {error.strerror}') from error
    if robot and robot not in robots:
        raise SpoolError(
            f'{spool} has no robot {robot!r}; it has {", ".join(robots) or "none at all"}')
    return [_backlog(spool, name) for name in robots if robot in ('', name)]


def _backlog(folder: Path, robot: str) -> Backlog:
    spool, ledgers, found = Spool(folder, robot), Ledgers(folder, robot), Backlog(robot)
    for episode in spool.episodes():
        found.episodes += 1
        ledger = ledgers.load(episode.name) or Ledger()
        for segment in episode.segments:
            entry = ledger.segments.get(segment.number)
            try:
                size = segment.path.stat().st_size
                state = 'waiting' if entry is None else entry.state
            except OSError as error:
                size, state = 0, 'unreadable'
                found.problems.append(f'{segment.path}: {error.strerror}')
            found.count[state] += 1
            found.size[state] += size
            if entry is not None and entry.state == 'quarantined':
                found.problems.append(f'{episode.name}: quarantined: {entry.reason}')
    found.problems += spool.problems.values()
    return found
