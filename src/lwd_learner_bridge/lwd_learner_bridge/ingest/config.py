# SPDX-License-Identifier: Apache-2.0
"""Settings of the coordinator, and what it counts."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class IngestConfig:
    """How uploads are taken."""

    snapshot_period: float = field(default=0.25, metadata={'range': (0.0, 3600.0)})
    """Time between two snapshots while segments arrive, s."""
    list_period: float = field(default=2.0, metadata={'range': (0.01, 3600.0)})
    """Time between two looks into the inbox for what was not announced, s."""
    longest_wait: float = field(default=60.0, metadata={'range': (0.1, 3600.0)})
    """Between two attempts at the same notice while store or disk refuse, s."""


@dataclass
class Counts:
    """Since the start."""

    registered: int = 0
    """Segments that are new in the catalogue."""
    repeated: int = 0
    """Notices of what was registered already."""
    quarantined: int = 0
    again: int = 0
    """Segments that robots were asked for again."""
