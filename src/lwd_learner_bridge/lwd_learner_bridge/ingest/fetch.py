# SPDX-License-Identifier: Apache-2.0
"""Where the learner reads a segment: in the store itself, if that is a folder, else a copy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lwd_data.replay.index import index_path
from lwd_learner_bridge.errors import MissingError, TransferError
from lwd_learner_bridge.store import names
from lwd_learner_bridge.store.objects import Objects


def place(objects: Objects, replay: Path, key: str) -> Path:
    """Return where a segment lies, or will lie, on this machine."""
    return objects.local(key) or replay / key


def fetch(objects: Objects, replay: Path, key: str) -> Path:
    """Make a segment readable here; returns its file.

    Raises:
        MissingError: The store does not have it.
        TransferError: The store does not answer, or the disk refuses.
    """
    path = place(objects, replay, key)
    if objects.local(key) is not None:
        if not path.is_file():
            raise MissingError(f'{path} is not there')
        return path
    if path.is_file() and path.stat().st_size == objects.size(key):
        return path
    temporary = path.with_name(path.name + '.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open('wb') as file:
            for piece in objects.stream(key):
                file.write(piece)
        # Replaced, never written over: a learner may have mapped it.
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise TransferError(f'cannot write {path}: {error.strerror}') from error
    return path


def drop(objects: Objects, replay: Path, key: str) -> None:
    """Remove the index of a segment that is not taken, and its copy if there is one."""
    path = place(objects, replay, key)
    index_path(path).unlink(missing_ok=True)
    if objects.local(key) is None:
        path.unlink(missing_ok=True)


def free_bytes(folder: Path) -> int:
    """Return what the disk of a folder has left."""
    return shutil.disk_usage(folder).free


def remove_remains(folder: Path) -> None:
    """Delete what interrupted downloads left under a folder."""
    for root, _, files in os.walk(folder / names.SEGMENTS):
        for name in files:
            if name.endswith('.mcap.part'):
                (Path(root) / name).unlink(missing_ok=True)
