# SPDX-License-Identifier: Apache-2.0
"""The spool: `<spool>/<robot>/<episode>/`, as a recorder leaves it.

A segment is closed if and only if metadata.yaml lists it; metadata.yaml is replaced as a whole at
every close and when the label comes. Nothing else of a folder is looked at.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from lwd_data import metadata as metadata_file
from lwd_data.errors import ReadError
from lwd_learner_bridge.errors import SpoolError
from lwd_learner_bridge.store.names import is_word

STATE = '.uploads'
"""Folder in the spool: what the uploader remembers, and what it is deleting."""
_NUMBERED = re.compile(r'(?P<episode>.+)_(?P<number>\d+)\.mcap')
Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class ClosedSegment:
    """A segment that will not change any more."""

    number: int
    path: Path
    begin_ns: int
    end_ns: int
    recovered: bool


@dataclass(frozen=True)
class SpooledEpisode:
    """An episode in the spool, as far as it is recorded."""

    folder: Path
    robot: str
    name: str
    custom: dict[str, str]
    segments: tuple[ClosedSegment, ...]

    @property
    def label(self) -> str:
        """Its label; empty while the episode runs, or when nobody labelled it."""
        return self.custom.get('label', '')

    @property
    def ended(self) -> bool:
        """Return whether no segment will follow."""
        return bool(self.label)

    @property
    def begin_ns(self) -> int:
        """Stamp of its first message; 0 if it has none."""
        return min((segment.begin_ns for segment in self.segments), default=0)


class Spool:
    """The episodes of one robot."""

    def __init__(self, folder: Path, robot: str) -> None:
        """Look at a spool; its folder may not exist yet.

        Raises:
            SpoolError: The robot's name cannot be part of a path.
        """
        if not is_word(robot):
            raise SpoolError(
                f'{robot!r} is no name of a robot; use letters, digits, dashes and underscores')
        self.folder, self.robot = folder, robot
        self.problems: dict[str, str] = {}
        """By episode: why it cannot be uploaded."""
        self._known: dict[str, tuple[Stamp, SpooledEpisode | None]] = {}

    def episodes(self) -> list[SpooledEpisode]:
        """Return the episodes that can be read; `problems` names the others.

        Raises:
            SpoolError: The folder cannot be listed.
        """
        home = self.folder / self.robot
        try:
            names = [entry.name for entry in os.scandir(home)
                     if entry.is_dir() and not entry.name.startswith('.')]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise SpoolError(f'the spool {home} cannot be listed: {error.strerror}') from error
        for name in set(self._known) - set(names):
            del self._known[name]
            self.problems.pop(name, None)
        found = (self._episode(home / name) for name in sorted(names))
        return [episode for episode in found if episode is not None]

    def _episode(self, folder: Path) -> SpooledEpisode | None:
        name = folder.name
        try:
            status = (folder / metadata_file.FILE).stat()
        except FileNotFoundError:
            # Its first segment is still open.
            return None
        except OSError as error:
            self.problems[name] = f'{folder} cannot be read: {error.strerror}'
            return None
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        known = self._known.get(name)
        if known is not None and known[0] == stamp:
            return known[1]
        episode: SpooledEpisode | None = None
        try:
            episode = read_episode(folder, self.robot)
            self.problems.pop(name, None)
        except (SpoolError, ReadError, OSError) as error:
            self.problems[name] = str(error)
        self._known[name] = (stamp, episode)
        return episode


def read_episode(folder: Path, robot: str) -> SpooledEpisode:
    """Read an episode of a robot.

    Raises:
        ReadError: Its metadata.yaml is missing or damaged.
        SpoolError: It is another robot's, or was renamed.
    """
    metadata = metadata_file.read(folder)
    name = metadata.custom.get('episode_id') or folder.name
    owner = metadata.custom.get('robot') or robot
    if owner != robot:
        raise SpoolError(
            f'{folder} is an episode of {owner!r}, not of {robot!r}: move it to the spool of that '
            'robot')
    if name != folder.name or not is_word(name):
        raise SpoolError(
            f'{folder} holds the episode {name!r}: a folder has the name of its episode; rename '
            'it back')
    segments = []
    for segment in metadata.segments:
        match = _NUMBERED.fullmatch(segment.file)
        # Not the place in the list: recovery leaves out what is not there any more.
        if match is None or match['episode'] != name:
            raise SpoolError(
                f'{folder} lists the segment {segment.file!r}; it must be called {name}_<n>.mcap')
        segments.append(ClosedSegment(
            int(match['number']), folder / segment.file, segment.begin_ns, segment.end_ns,
            segment.recovered))
    if len({segment.number for segment in segments}) < len(segments):
        raise SpoolError(f'{folder} lists two segments of one number')
    return SpooledEpisode(folder, robot, name, metadata.custom, tuple(segments))
