# SPDX-License-Identifier: Apache-2.0
"""What the catalogue knows of a segment and of an episode."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

Origin = Literal['offline', 'online']
ORIGINS: tuple[Origin, ...] = ('offline', 'online')

DISCARDED = 'discard'
"""Label of episodes that are recorded, but not for training."""


class SegmentRecord(NamedTuple):
    """One segment of an episode."""

    number: int
    """From 0 within the episode."""
    file: str
    """Name within the episode's folder."""
    size: int
    """Bytes."""
    sha256: str
    """Hex."""
    recovered: bool
    """Whether it was found unfinished, and saved up to its last complete message."""


@dataclass(frozen=True, slots=True)
class EpisodeRecord:
    """An episode, as far as its segments are there."""

    name: str
    """Its id, unique over the fleet."""
    folder: Path
    robot: str
    task: str
    instruction: str
    origin: Origin
    label: str = ''
    """As metadata.yaml has it; empty while the episode runs."""
    custom_text: str = '{}'
    """All of custom_data of metadata.yaml, JSON with sorted keys."""
    segments: tuple[SegmentRecord, ...] = ()
    """From 0 on, without a gap."""

    @property
    def custom(self) -> dict[str, str]:
        """All of custom_data of metadata.yaml: kind, features, seed, ..."""
        return dict(json.loads(self.custom_text))

    def path(self, number: int) -> Path:
        """Return where a segment lies."""
        return self.folder / self.segments[number].file
