# SPDX-License-Identifier: Apache-2.0
"""A spool is one uploader's at a time, and has an identity of its own."""

from __future__ import annotations

import fcntl
import os
import uuid
from pathlib import Path

from lwd_learner_bridge.errors import SpoolError
from lwd_learner_bridge.upload.spool import STATE


class Claim:
    """Holds the lock of a robot's spool until it is released or the process ends."""

    def __init__(self, spool: Path, robot: str) -> None:
        """Take it.

        Raises:
            SpoolError: The spool cannot be written, or another uploader works on it.
        """
        path = spool / STATE / f'{robot}.lock'
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise SpoolError(f'the spool {spool} cannot be written: {error.strerror}') from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.machine = _machine(spool)
            """Tells this spool from another one of the same robot name."""
        except SpoolError:
            os.close(self._lock)
            raise
        except OSError as error:
            os.close(self._lock)
            raise SpoolError(
                f'another uploader works on {robot} in {spool}; stop it first') from error

    def release(self) -> None:
        """Let another uploader have the spool."""
        os.close(self._lock)


def _machine(spool: Path) -> str:
    path = spool / STATE / 'machine'
    try:
        if text := path.read_text(encoding='utf-8').strip():
            return text
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        raise SpoolError(f'{path} cannot be read: {error}; delete it') from error
    text = uuid.uuid4().hex
    temporary = path.with_suffix(f'.{os.getpid()}.part')
    try:
        temporary.write_text(text + '\n', encoding='utf-8')
        temporary.replace(path)
    except OSError as error:
        raise SpoolError(f'cannot write {path}: {error.strerror}') from error
    return text
