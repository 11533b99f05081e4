# SPDX-License-Identifier: Apache-2.0
"""The folder of a run: who has it, and what it was begun with."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lwd_bringup.errors import BringupError

FILE = 'bringup.json'
_LOCK = '.lock'


@dataclass(frozen=True)
class Begun:
    """What `lwd up` was begun with."""

    config: str
    """Name of a shipped configuration, or path of a file."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """That replace the file's."""
    where: str = ''
    """The folder in which it was typed: relative paths are from there."""


def begin(folder: Path, begun: Begun) -> None:
    """Note what a run is begun with, in its folder; the same run is gone on with.

    Raises:
        BringupError: The folder holds another run, or cannot be written.
    """
    file = folder / FILE
    if file.exists() and json.loads(json.dumps(vars(begun))) != vars(begun_with(folder)):
        raise BringupError(
            f'{folder} holds a run that was begun with other settings; go on with that one: '
            f'./lwd up --resume {folder}, or choose another --dir')
    make(folder)
    part = file.with_name(FILE + '.part')
    part.write_text(json.dumps(vars(begun), indent=1) + '\n', encoding='utf-8')
    part.replace(file)


def begun_with(folder: Path) -> Begun:
    """Return what the run in a folder was begun with.

    Raises:
        BringupError: There is none, or it is damaged.
    """
    file = folder / FILE
    try:
        content = json.loads(file.read_text(encoding='utf-8'))
        begun = Begun(**content)
    except FileNotFoundError as error:
        raise BringupError(
            f'{folder} holds no run of lwd up: there is no {FILE} in it') from error
    except (OSError, ValueError, TypeError) as error:
        raise BringupError(f'{file} cannot be read: {error}; it is damaged, or of another '
                           'version') from error
    if not Path(begun.where).is_dir():
        raise BringupError(
            f'the run was begun in {begun.where}, which is gone; its relative paths mean nothing '
            f'now. Change "where" in {file} to where they are')
    return begun


def make(folder: Path) -> None:
    """Make the folder of a run.

    Raises:
        BringupError: It cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BringupError(f'{folder} cannot be made: {error.strerror}; choose another place with '
                           '--dir') from error
    if not os.access(folder, os.W_OK):
        raise BringupError(f'{folder} cannot be written; choose another place with --dir')


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep others from running what is in a folder.

    Raises:
        BringupError: Another process runs it.
    """
    with (folder / _LOCK).open('a+', encoding='utf-8') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            raise BringupError(
                f'{folder} is being run by process {lock.read().strip() or "unknown"}; stop that '
                'one first, or choose another folder') from error
        lock.truncate(0)
        lock.write(f'{os.getpid()}\n')
        lock.flush()
        yield
