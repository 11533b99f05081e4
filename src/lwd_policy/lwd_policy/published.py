# SPDX-License-Identifier: Apache-2.0
"""The policies that a learner has published, in a folder: written by it, sent by the publisher.

    published/
        00000012-<version, 12 digits>/   a policy's folder, and publication.json
        latest.json                      what publication.json of the newest one says

A publication appears by the rename of a finished folder. Its number and its stamp are greater than
those of every one before, also after a restart or with a clock that was set back: robots take the
newer stamp as the newer policy.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lwd_policy import weights
from lwd_policy.card import PolicyCard, loads
from lwd_policy.errors import PublishedError

PUBLICATION_FILE = 'publication.json'
LATEST_FILE = 'latest.json'
_LOCK_FILE = '.lock'
_FOLDER = re.compile(r'(\d{8,})-([0-9a-f]{12})')


@dataclass(frozen=True, kw_only=True)
class Publication:
    """One publication of a policy."""

    number: int
    """Counts up from 1."""
    version: str
    """SHA-256 of the weights, hex."""
    stamp_ns: int
    """When, ns since the epoch; greater than of every one before."""
    update: int
    """Gradient updates done."""
    snapshot: str = ''
    """Replay snapshot that it was trained on."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Finite figures by name."""
    folder: Path = Path()
    """Of the policy."""

    @property
    def whole(self) -> bool:
        """Whether its weights are still there; its card always is."""
        return (self.folder / weights.WEIGHTS_FILE).is_file()

    def card(self) -> PolicyCard:
        """Return the policy's card.

        Raises:
            PublishedError, CardError: It cannot be read.
        """
        path = self.folder / weights.CARD_FILE
        try:
            return loads(path.read_text(encoding='utf-8'), where=str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise PublishedError(f'{path} cannot be read: {error}') from error


class Published:
    """A folder of published policies."""

    def __init__(self, folder: Path) -> None:
        """Look at a folder; it need not exist yet."""
        self.folder = Path(folder)

    def add(
        self, policy: Path, *, update: int, snapshot: str = '',
        metrics: Mapping[str, float] | None = None,
    ) -> Publication:
        """Publish the policy in a folder: its files are copied, or linked on the same disk.

        Args:
            policy: As `lwd_policy.store.save_policy` writes it; a canary in it goes along.
            update: Gradient updates done.
            snapshot: Replay snapshot that it was trained on; the card's if empty.
            metrics: Finite figures by name; the card's if None.

        Raises:
            WeightsError, CardError: It is no policy, or a damaged one.
            PublishedError: The disk refuses.
        """
        card = weights.load(policy)[1]
        part = self.folder / f'.{uuid.uuid4().hex}.part'
        try:
            part.mkdir(parents=True)
            for file in policy.iterdir():
                if file.is_file() and file.name != PUBLICATION_FILE:
                    _link(file, part / file.name)
            # The publisher may publish an earlier version anew while the learner adds one.
            with (self.folder / _LOCK_FILE).open('w') as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                before = self.latest()
                number = 1 + (before.number if before else 0)
                publication = Publication(
                    number=number, version=card.version, update=update,
                    stamp_ns=max(time.time_ns(), 1 + (before.stamp_ns if before else 0)),
                    snapshot=snapshot or card.snapshot,
                    metrics=dict(card.metrics if metrics is None else metrics),
                    folder=self.folder / f'{number:08d}-{card.version[:12]}')
                text = _dumps(publication)
                _write(part / PUBLICATION_FILE, text)
                part.rename(publication.folder)
                _sync(self.folder)
                pointer = self.folder / f'.{LATEST_FILE}.part'
                _write(pointer, text)
                pointer.replace(self.folder / LATEST_FILE)
        except OSError as error:
            raise PublishedError(
                f'{policy} cannot be published in {self.folder}: {error}; make room on the disk'
            ) from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return publication

    def all(self) -> list[Publication]:
        """Return every publication, the newest first.

        Raises:
            PublishedError: One cannot be read.
        """
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise PublishedError(f'{self.folder} cannot be read: {error}') from error
        places = sorted((int(match[1]), name) for name in names
                        if (match := _FOLDER.fullmatch(name)))
        return [_read(self.folder / name) for _, name in reversed(places)]

    def latest(self) -> Publication | None:
        """Return the newest publication, None before the first.

        Raises:
            PublishedError: It cannot be read.
        """
        try:
            names = [name for name in os.listdir(self.folder) if _FOLDER.fullmatch(name)]
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PublishedError(f'{self.folder} cannot be read: {error}') from error
        if not names:
            return None
        return _read(self.folder / max(names, key=lambda name: int(name.partition('-')[0])))

    def keep(self, count: int) -> list[Publication]:
        """Remove the weights of all but the newest `count`; their cards stay, for their lineage.

        Returns:
            Those whose weights were removed.
        """
        gone = [publication for publication in self.all()[count:] if publication.whole]
        for publication in gone:
            (publication.folder / weights.WEIGHTS_FILE).unlink(missing_ok=True)
        return gone


def _link(source: Path, place: Path) -> None:
    """Give a file that nobody changes a second name, or a copy where that is not possible."""
    try:
        os.link(source, place)
    except OSError:
        shutil.copyfile(source, place)
        _sync(place)


def _dumps(publication: Publication) -> str:
    content = asdict(publication)
    content['folder'] = publication.folder.name
    try:
        return json.dumps(content, allow_nan=False)
    except ValueError as error:
        raise PublishedError(
            f'version {publication.version[:12]} has a metric that is not finite; leave it out'
        ) from error


def _read(folder: Path) -> Publication:
    path = folder / PUBLICATION_FILE
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding='utf-8'))
        return Publication(**{**content, 'folder': folder})
    except (OSError, ValueError, TypeError) as error:
        raise PublishedError(
            f'{path} cannot be read ({error}); remove {folder.name}, or publish the policy again'
        ) from error


def _write(path: Path, text: str) -> None:
    with path.open('w', encoding='utf-8') as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
