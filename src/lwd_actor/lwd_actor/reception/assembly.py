# SPDX-License-Identifier: Apache-2.0
"""The parts of one payload, in any order and any number of times, until all are there."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from lwd_actor.errors import DiskError
from lwd_policy.manifest import Manifest


class Assembly:
    """A file that fills up with parts; none gets in that is not as signed."""

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        """Reserve the room for a payload.

        Args:
            manifest: Checked.
            folder: Empty, on the disk where the policy will stay.

        Raises:
            DiskError: There is not enough.
        """
        self.manifest, self.folder = manifest, folder
        self.file = folder / 'payload'
        self.damaged = 0
        """Parts that came, but not as signed."""
        self._missing = set(range(len(manifest.part_sha256)))
        self._descriptor = -1
        try:
            self._descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
            os.posix_fallocate(self._descriptor, 0, manifest.payload_bytes)
        except OSError as error:
            self.close()
            raise self._refusal(error) from error

    def _refusal(self, error: OSError) -> DiskError:
        return DiskError(
            f'policy {self.manifest.version[:12]} of {self.manifest.payload_bytes} bytes cannot '
            f'be written to {self.folder.parent}: {error.strerror}; make room there')

    @property
    def complete(self) -> bool:
        """Whether all parts are there."""
        return not self._missing

    @property
    def received(self) -> int:
        """How many parts are there."""
        return len(self.manifest.part_sha256) - len(self._missing)

    def missing(self) -> list[int]:
        """Return the parts that are not there yet, in order."""
        return sorted(self._missing)

    def take(self, index: int, data: bytes | memoryview) -> bool:
        """Put a part in its place; returns whether it was needed and is as signed.

        Raises:
            DiskError: The disk refuses.
        """
        if index not in self._missing:
            return False
        if hashlib.sha256(data).hexdigest() != self.manifest.part_sha256[index]:
            self.damaged += 1
            return False
        at, rest = index * self.manifest.part_bytes, memoryview(data)
        try:
            while rest:
                written = os.pwrite(self._descriptor, rest, at)
                at, rest = at + written, rest[written:]
        except OSError as error:
            raise self._refusal(error) from error
        self._missing.discard(index)
        return True

    def close(self) -> None:
        """Take no more parts."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
