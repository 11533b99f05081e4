# SPDX-License-Identifier: Apache-2.0
"""How policies are taken."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ReceiverConfig:
    """How policies are taken."""

    keep: int = field(default=5, metadata={'range': (2, 1000)})
    """Versions that stay on the shelf, beside the one that runs and the good one before it."""
    max_bytes: int = field(default=4_000_000_000, metadata={'range': (1, 1_000_000_000_000)})
    """Size of a policy at most."""
    patience: float = field(default=1.0, metadata={'range': (0.01, 60.0)})
    """How long no part comes before the missing ones are asked for, s; longer each time in
    vain."""
