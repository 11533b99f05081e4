# SPDX-License-Identifier: Apache-2.0
"""What the uploader remembers of an episode: one small file each, beside the spool's episodes.

Losing one costs time only: what the store has is found again by listing its answers.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from lwd_learner_bridge.errors import SpoolError
from lwd_learner_bridge.upload.spool import STATE

State = Literal['waiting', 'uploaded', 'registered', 'quarantined', 'unreadable']
SETTLED = ('registered', 'quarantined')
"""The learner side has it, and said so."""


@dataclass
class SegmentEntry:
    """One segment."""

    size: int
    changed_ns: int
    """When the file was changed last, as it was when its hash was taken."""
    sha256: str
    intervention: bool
    state: State = 'waiting'
    name: str = ''
    """Of its notice, once that was written."""
    attempt: int = 0
    """How often the learner side asked for it again."""
    reason: str = ''
    """Why it is not registered."""


@dataclass
class Ledger:
    """One episode."""

    segments: dict[int, SegmentEntry] = field(default_factory=dict)
    revision: int = 0
    """0 until the episode has its label; grows with every change of custom_data after that."""
    custom_hash: str = ''
    """Of custom_data at that revision."""
    facts_state: State = 'waiting'
    """Whether the learner side knows that revision."""
    facts_name: str = ''
    """Of the notice that carries it."""

    def note_facts(self, custom_hash: str) -> None:
        """Take over what metadata.yaml says of an ended episode."""
        if custom_hash != self.custom_hash:
            self.revision += 1
            self.custom_hash = custom_hash
            self.facts_state, self.facts_name = 'waiting', ''

    def settled(self, count: int) -> bool:
        """Return whether the learner side has all: `count` segments, and the label."""
        return (
            self.revision > 0 and self.facts_state in SETTLED and len(self.segments) >= count
            and all(entry.state in SETTLED for entry in list(self.segments.values())))


class Ledgers:
    """The ledgers of one robot's episodes."""

    def __init__(self, spool: Path, robot: str) -> None:
        """Use the folder of a spool."""
        self.folder = spool / STATE / robot

    def load(self, episode: str) -> Ledger | None:
        """Return the ledger of an episode; None if it has none, or a damaged one."""
        try:
            content = json.loads(self._path(episode).read_text(encoding='utf-8'))
            segments = content.pop('segments')
            return Ledger(
                {int(number): SegmentEntry(**entry) for number, entry in segments.items()},
                **content)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def save(self, episode: str, ledger: Ledger) -> None:
        """Write a ledger in one piece.

        Raises:
            SpoolError: The disk refuses.
        """
        path = self._path(episode)
        temporary = path.with_suffix('.part')
        content: dict[str, Any] = asdict(ledger)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(content), encoding='utf-8')
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise SpoolError(f'cannot write {path}: {error.strerror}') from error

    def forget(self, episode: str) -> None:
        """Remove the ledger of an episode."""
        self._path(episode).unlink(missing_ok=True)

    def _path(self, episode: str) -> Path:
        return self.folder / f'{episode}.json'
