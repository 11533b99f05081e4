# SPDX-License-Identifier: Apache-2.0
"""Settings of the uploader."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class UploadConfig:
    """How a spool is uploaded."""

    bandwidth: float = field(default=0.0, metadata={'range': (0.0, 1e5)})
    """Limit of the upload, MB/s; 0: none."""
    budget: float = field(default=50.0, metadata={'range': (0.0, 1e6)})
    """Of the spool, GB: beyond it confirmed episodes are deleted, the oldest first; 0 deletes each
    as soon as it is confirmed."""
    poll: float = field(default=0.1, metadata={'range': (0.01, 60.0)})
    """Time between two looks at the spool, s."""
    confirm_poll: float = field(default=2.0, metadata={'range': (0.01, 600.0)})
    """Time between two looks for answers while some are expected, s."""
    announce_again: float = field(default=60.0, metadata={'range': (0.1, 86400.0)})
    """What is not answered after so long is announced again, s; then after twice as long."""
    longest_wait: float = field(default=60.0, metadata={'range': (0.1, 3600.0)})
    """Between two attempts while the store does not work, s."""
