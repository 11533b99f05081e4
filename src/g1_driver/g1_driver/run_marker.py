# SPDX-License-Identifier: Apache-2.0
"""A file that is there while a real robot is driven: the next start notices a crash by it."""

from __future__ import annotations

from pathlib import Path


class RunMarker:
    """Set while active; what is left of it says that the last run did not end by itself."""

    def __init__(self, folder: Path, robot: str) -> None:
        """Take the marker of a robot in a folder."""
        self._path = folder / f'{robot}.driving'

    @property
    def left_behind(self) -> bool:
        """Whether a run ended without clearing it."""
        return self._path.exists()

    def set(self) -> None:
        """Note that the robot is driven."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch()

    def clear(self) -> None:
        """Note that the run has ended in order."""
        self._path.unlink(missing_ok=True)
