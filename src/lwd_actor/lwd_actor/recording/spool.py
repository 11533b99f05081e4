# SPDX-License-Identifier: Apache-2.0
"""The spool: where a robot's episodes lie until they are uploaded, `<spool>/<robot>/<episode>/`.

A segment is closed if and only if its episode's metadata.yaml lists it, which is written anew at
every close; the open one ends in `.open`. An episode is finished if and only if custom_data of its
metadata.yaml has a label.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from lwd_actor.errors import EpisodeError, RecordingError
from lwd_data import metadata as metadata_file
from lwd_data.errors import DataError, ReadError
from lwd_data.metadata import Metadata
from lwd_data.recovery import recover

INTERRUPTED = 'the recorder was interrupted; recovered at its next start'
_LOCK = 'recorder.lock'


def default_spool() -> Path:
    """Return where episodes go if nothing else is said."""
    return Path.home() / '.ros' / 'lwd' / 'spool'


class Spool:
    """One robot's part of a spool. One process at a time owns it."""

    def __init__(self, folder: Path, robot: str, *, min_free_bytes: int = 0) -> None:
        """Take the spool.

        Args:
            folder: Of all robots' episodes; made if missing.
            robot: The robot's name.
            min_free_bytes: With less on the disk there is no room.

        Raises:
            RecordingError: It cannot be written, or another process has it.
        """
        self.folder = folder / robot
        self.unrecovered: list[str] = []
        """Why leftovers could not be recovered."""
        self._robot = robot
        self._min_free = min_free_bytes
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock: IO[str] = (self.folder / _LOCK).open('a+', encoding='utf-8')
        except OSError as error:
            raise RecordingError(
                f'cannot write to the spool {self.folder}: {error.strerror}; choose a folder that '
                'can be written, with spool') from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.seek(0)
            owner = self._lock.read().strip() or 'unknown'
            self._lock.close()
            raise RecordingError(
                f'{self.folder} is in use by another recorder, process {owner}; stop it, or give '
                'this robot another name') from error
        self._lock.truncate(0)
        self._lock.write(f'{os.getpid()}\n')
        self._lock.flush()

    def release(self) -> None:
        """Let another process have it."""
        self._lock.close()

    def new_id(self) -> str:
        """Return an id that no other episode of the fleet has, also after a clock was set back."""
        now = datetime.now(UTC)
        return f'{self._robot}-{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}'

    def path(self, episode_id: str) -> Path:
        """Return an episode's folder."""
        return self.folder / episode_id

    def trouble(self) -> str:
        """Return why no episode can be written now; empty if one can."""
        try:
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            return f'the spool {self.folder} is gone: {error.strerror}'
        if not os.access(self.folder, os.W_OK):
            return f'the spool {self.folder} is read-only'
        if free < self._min_free:
            return (f'{free / 1e9:.2f} GB are free for {self.folder}, and '
                    f'{self._min_free / 1e9:g} GB must stay free: upload or delete episodes, or '
                    'set min_free_gb')
        return ''

    def recover(self) -> list[tuple[str, Metadata]]:
        """Save what an interrupted recorder left; returns ids and metadata of those episodes.

        Recovered segments are marked in metadata.yaml, remains are kept beside. What cannot be
        saved now, as on a full disk, stays as it is, and `unrecovered` says why. To be called
        before the first episode begins.
        """
        found = []
        for folder in sorted(path for path in self.folder.iterdir() if path.is_dir()):
            try:
                if (metadata := self._recover(folder)) is not None:
                    found.append((folder.name, metadata))
            except (DataError, OSError) as error:
                self.unrecovered.append(f'{folder} cannot be recovered: {error}')
        return found

    @staticmethod
    def _recover(folder: Path) -> Metadata | None:
        try:
            known = metadata_file.read(folder)
        except ReadError:
            known = None
        if known is not None and known.custom.get('label'):
            return None
        metadata = recover(folder)
        if metadata is not None and metadata.segments:
            metadata_file.amend(folder, {'label': 'none', 'detail': INTERRUPTED})
            return metadata_file.read(folder)
        if known is not None:
            metadata_file.amend(folder, {
                'label': 'discard', 'detail': 'interrupted before anything was on disk'})
        return None

    def relabel(self, episode_id: str, custom: Mapping[str, str]) -> None:
        """Change the label of a finished episode.

        Raises:
            EpisodeError: There is no such episode here.
        """
        folder = self.path(episode_id)
        # An id is no path: nothing outside the spool may be named by it.
        if not episode_id or Path(episode_id).name != episode_id or not folder.is_dir():
            raise EpisodeError(
                f'there is no episode {episode_id!r} in {self.folder}; if it was uploaded and '
                'removed, it can be labelled in the replay store only')
        try:
            metadata_file.amend(folder, custom)
        except (ReadError, OSError) as error:
            raise EpisodeError(f'{folder} cannot be labelled: {error}') from error
