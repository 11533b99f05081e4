# SPDX-License-Identifier: Apache-2.0
"""Parameters of the markers node; apart, so that who only reads them needs no rviz messages."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class MarkersConfig:
    """Parameters of the markers node."""

    robot: str = 'g1_01'
    """The robot's name, as shown."""
    rate: float = field(default=10.0, metadata={'range': (0.5, 30.0)})
    """Hz."""
