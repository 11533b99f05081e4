# SPDX-License-Identifier: Apache-2.0
"""A robot's shelf of policies: verified versions on disk, and which of them is to run.

    shelf/
        00000007-<version>/     a policy, as `lwd_policy.weights.save` writes it; never changed
        current.json            which one is to run, replaced as a whole
        .lock                   held by the one process that writes

One process writes (`ShelfWriter`), any number read (`Shelf`). A version appears by the rename of a
finished folder and is never changed, so what a reader finds is whole, whenever the writer dies.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from lwd_policy.errors import ShelfError

CURRENT_FILE = 'current.json'
_LOCK_FILE = '.lock'
_FOLDER = re.compile(r'(\d{8,})-([0-9a-f]{64})')
_HISTORY = 32


@dataclass(frozen=True)
class Choice:
    """What is in current.json."""

    version: str = ''
    """That is to run; empty if none."""
    pinned: bool = False
    """Whether newer versions stay on the shelf until somebody unpins."""
    history: tuple[str, ...] = ()
    """What was chosen before, the latest first."""
    faulty: Mapping[str, str] = field(default_factory=dict)
    """Versions that misbehaved when they ran, with the reason: they are not chosen by themselves
    again."""
    accepted_ns: int = 0
    """Publication stamp of the newest policy that was ever accepted, ns since the epoch: an older
    one is a replay."""


class Shelf:
    """A shelf to read from; it need not exist yet."""

    def __init__(self, folder: Path) -> None:
        """Read the shelf in a folder."""
        self.folder = Path(folder)
        self._choice = Choice()
        self._seen: tuple[int, int, int] | None = None

    def current(self) -> str | None:
        """Return the version that is to run, None if none; one `stat` if nothing changed.

        Raises:
            ShelfError: current.json cannot be read.
        """
        return self.choice().version or None

    def choice(self) -> Choice:
        """Return all that is known about what is to run.

        Raises:
            ShelfError: current.json cannot be read.
        """
        path = self.folder / CURRENT_FILE
        try:
            status = path.stat()
            # Every change makes a new file.
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                self._choice = _parse(path.read_text(encoding='utf-8'), path)
                self._seen = seen
        except FileNotFoundError:
            self._choice, self._seen = Choice(), None
        except (OSError, UnicodeDecodeError) as error:
            raise ShelfError(
                f'{path} cannot be read ({error}); mend the permissions or the disk, or remove '
                'the file and choose a version again') from error
        return self._choice

    def versions(self) -> list[str]:
        """Return the versions on the shelf, the one that came last first."""
        return list(self._folders())

    def path(self, version: str) -> Path:
        """Return the folder of a version.

        Raises:
            ShelfError: It is not on the shelf.
        """
        found = self._folders()
        try:
            return found[version]
        except KeyError:
            held = ', '.join(name[:12] for name in found) or 'none'
            raise ShelfError(
                f'version {version[:12] or "(empty)"} is not on the shelf {self.folder}; it holds '
                f'{held}') from None

    def _folders(self) -> dict[str, Path]:
        """Return folders by version, the newest first."""
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ShelfError(
                f'the shelf {self.folder} cannot be read ({error}); give a folder that this user '
                'may read') from error
        found = sorted((int(match[1]), match[2], name) for name in names
                       if (match := _FOLDER.fullmatch(name)))
        return {version: self.folder / name for _, version, name in reversed(found)}


class ShelfWriter(Shelf):
    """The one process that may change a shelf."""

    def __init__(self, folder: Path) -> None:
        """Make the shelf if it is not there, lock it, and remove what a crash left half done.

        Raises:
            ShelfError: Another process writes it, or the folder cannot be made.
        """
        super().__init__(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise ShelfError(
                f'the shelf {self.folder} cannot be made ({error}); give a folder that this user '
                'may write') from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise ShelfError(
                f'the shelf {self.folder} is written by another process; end that one, or give '
                'each robot a shelf of its own') from error
        for leftover in self.folder.glob('.*.part'):
            _remove(leftover)

    def close(self) -> None:
        """Let another process write."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> ShelfWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def scratch(self, name: str) -> Path:
        """Return a new empty folder on the shelf's disk; what is left in it a crash removes.

        Raises:
            ShelfError: The disk is full or not writable.
        """
        folder = self.folder / f'.{name}.{uuid.uuid4().hex}.part'
        try:
            folder.mkdir()
        except OSError as error:
            raise ShelfError(f'the shelf {self.folder} cannot be written: {error}') from error
        return folder

    def add(self, folder: Path, version: str) -> Path:
        """Take a finished, synced policy folder from the same disk; returns its new place.

        A version that is there already stays as it is, and `folder` is removed.

        Raises:
            ShelfError: No version, or the disk refuses.
        """
        held = self._folders()
        if version in held:
            shutil.rmtree(folder, ignore_errors=True)
            return held[version]
        newest = next(iter(held.values()), None)
        number = 1 + (int(newest.name.partition('-')[0]) if newest else 0)
        place = self.folder / f'{number:08d}-{version}'
        if not _FOLDER.fullmatch(place.name):
            raise ShelfError(f'{version!r} is no version; it must be a SHA-256 in hex')
        try:
            folder.rename(place)
            _sync_folder(self.folder)
        except OSError as error:
            raise ShelfError(f'{folder} cannot be put on the shelf {self.folder}: {error}'
                             ) from error
        return place

    def select(self, version: str, pinned: bool = False, **changes: Any) -> None:
        """Have a version run.

        Args:
            version: On the shelf.
            pinned: Keep to it, whatever comes.
            changes: Fields of the choice that change with it.

        Raises:
            ShelfError: It is not on the shelf, or the disk refuses.
        """
        self.path(version)
        before = self.choice()
        history = before.history
        if before.version and before.version != version:
            history = (before.version, *(one for one in history if one != before.version))
        self.change(version=version, pinned=pinned, history=history[:_HISTORY], **changes)

    def change(self, **changes: Any) -> Choice:
        """Replace fields of current.json, durably; returns what it says now.

        Raises:
            ShelfError: The disk refuses; current.json is as it was.
        """
        choice = replace(self.choice(), **changes)
        part = self.folder / f'.{CURRENT_FILE}.{uuid.uuid4().hex}.part'
        try:
            with part.open('w', encoding='utf-8') as file:
                json.dump(asdict(choice), file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.folder / CURRENT_FILE)
            _sync_folder(self.folder)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise ShelfError(f'{self.folder / CURRENT_FILE} cannot be written ({error}); make '
                             'room on the disk') from error
        return choice

    def previous_good(self) -> str:
        """Return what ran last, without a fault, before the present version; empty if none."""
        choice, held = self.choice(), self._folders()
        for version in choice.history:
            if version in held and version != choice.version and version not in choice.faulty:
                return version
        return ''

    def keep(self, count: int) -> list[str]:
        """Remove all but the newest `count`, the present and the previous good one.

        Returns:
            What was removed.
        """
        held = self._folders()
        kept = {*list(held)[:count], self.choice().version, self.previous_good()}
        gone = [version for version in held if version not in kept]
        for version in gone:
            # Under a name that is no version's first: a reader finds all of it or nothing.
            doomed = self.folder / f'.{version}.{uuid.uuid4().hex}.part'
            held[version].rename(doomed)
            _remove(doomed)
        return gone


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _parse(text: str, path: Path) -> Choice:
    try:
        content = json.loads(text)
        unknown = content.keys() - {item.name for item in fields(Choice)}
        if unknown:
            raise ValueError(f'unknown keys {", ".join(sorted(unknown))}')
        return Choice(**{**content, 'history': tuple(content.get('history', ()))})
    except (ValueError, TypeError, AttributeError) as error:
        raise ShelfError(
            f'{path} is no choice of a version ({error}); remove it and choose a version again '
            'with `lwd policy rollback`') from error


def _sync_folder(folder: Path) -> None:
    """Make a rename durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
