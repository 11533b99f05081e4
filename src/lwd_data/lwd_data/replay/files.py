# SPDX-License-Identifier: Apache-2.0
"""Reads bags and their indexes with a bounded number of open files and maps."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from lwd_data.errors import IndexFileError
from lwd_data.replay.index import open_index

Item = TypeVar('Item')

OPEN_BAGS = 256
"""Below the 1024 descriptors that a process usually has, with room for others."""
OPEN_INDEXES = 8192
"""Each is one memory map; Linux allows a process 65530."""


class Recent(Generic[Item]):
    """Keeps what was opened most recently. What is evicted lives on while somebody uses it."""

    def __init__(self, make: Callable[[str], Item], capacity: int) -> None:
        """Keep up to `capacity` of what `make` returns for a path."""
        self._make, self._capacity = make, capacity
        self._items: OrderedDict[str, Item] = OrderedDict()
        # Held by whoever adds to _items; files are opened outside of it.
        self._lock = threading.Lock()

    def __call__(self, path: str) -> Item:
        """Return what belongs to a path, made now if need be."""
        try:
            # Without the lock: the two steps may be torn apart by an eviction, nothing worse.
            found = self._items[path]
            self._items.move_to_end(path)
            return found
        except KeyError:
            made = self._make(path)
        with self._lock:
            kept = self._items.setdefault(path, made)
            self._items.move_to_end(path)
            while len(self._items) > self._capacity:
                self._items.popitem(last=False)
        return kept


    def __len__(self) -> int:
        """Return how many are kept."""
        return len(self._items)

    def forget(self, path: str) -> None:
        """Open it anew next time."""
        with self._lock:
            self._items.pop(path, None)


class Bag:
    """An open bag; closed when nobody uses it any more."""

    def __init__(self, path: str) -> None:
        """Open it.

        Raises:
            IndexFileError: It is not there.
        """
        self._path = path
        self._descriptor = -1
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise IndexFileError(
                f'{path} cannot be opened: {error.strerror}; a snapshot needs its files'
            ) from error

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes.

        Raises:
            IndexFileError: The file is shorter than when it was indexed.
        """
        data = os.pread(self._descriptor, length, offset)
        if len(data) != length:
            raise IndexFileError(
                f'{self._path} has {len(data)} bytes at {offset}, not {length}: it was changed '
                'after it was registered')
        return data

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)


class Files:
    """The open files of a sampler. Threads may share it."""

    def __init__(self, bags: int = OPEN_BAGS, indexes: int = OPEN_INDEXES) -> None:
        """Keep up to so many bags open, and so many indexes mapped."""
        self._bags = Recent(Bag, bags)
        self.index = Recent(lambda path: open_index(Path(path)), indexes)
        """Opens the index of a segment."""

    def read(self, path: str, offset: int, length: int) -> bytes:
        """Return bytes of a bag."""
        return self._bags(path).read(offset, length)

    def forget(self, path: str) -> None:
        """Open a segment's bag and index anew next time: they were replaced."""
        self._bags.forget(path)
        self.index.forget(path)

    def opened(self) -> tuple[int, int]:
        """Return how many bags are kept open, and how many indexes mapped."""
        return len(self._bags), len(self.index)
