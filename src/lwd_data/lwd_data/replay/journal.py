# SPDX-License-Identifier: Apache-2.0
"""A text file of all that was ever registered, one JSON line each, beside the catalogue.

The catalogue can be lost and made again from it, to the same snapshots. Lines are appended before
the catalogue's transaction ends, so that the file is never behind for longer than a power cut.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lwd_data.errors import CatalogueError

Line = dict[str, Any]


class Journal:
    """The file. Whoever calls this holds the catalogue's write lock."""

    def __init__(self, path: Path) -> None:
        """Use a file, which may not exist yet."""
        self.path = path

    def size(self) -> int:
        """Return its bytes; 0 if there is none."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def append(self, lines: Iterable[Line]) -> int:
        """Add lines; returns the new size.

        Raises:
            CatalogueError: The disk refuses; nothing was added then.
        """
        data = b''.join(_encode(line) for line in lines)
        before = self.size()
        try:
            with self.path.open('ab') as file:
                file.write(data)
        except OSError as error:
            self.truncate(before)
            raise CatalogueError(f'cannot write {self.path}: {error.strerror}') from error
        return before + len(data)

    def truncate(self, size: int) -> None:
        """Cut off what is behind a size."""
        if self.size() > size:
            os.truncate(self.path, size)

    def mend(self) -> None:
        """Cut off a last line that was not written to its end."""
        size = self.size()
        if not size:
            return
        with self.path.open('rb') as file:
            end = size
            while end:
                begin = max(0, end - 65536)
                file.seek(begin)
                at = file.read(end - begin).rfind(b'\n')
                if at >= 0:
                    self.truncate(begin + at + 1)
                    return
                end = begin
        self.truncate(0)

    def read(self, offset: int) -> Iterator[Line]:
        """Yield the lines from a byte offset on.

        Raises:
            CatalogueError: A line is damaged.
        """
        with self.path.open('rb') as file:
            file.seek(offset)
            for line in file:
                try:
                    yield dict(json.loads(line))
                except (ValueError, TypeError) as error:
                    raise CatalogueError(
                        f'{self.path} is damaged ({error}) in the line {line[:60]!r}; restore it, '
                        'or delete it and add the folders anew') from error

    def replace(self, lines: Iterable[Line]) -> int:
        """Write the file anew in one piece; returns its size."""
        temporary = self.path.with_name(self.path.name + '.part')
        with temporary.open('wb') as file:
            for line in lines:
                file.write(_encode(line))
        temporary.replace(self.path)
        return self.size()


def _encode(line: Line) -> bytes:
    return json.dumps(line, sort_keys=True, separators=(',', ':')).encode() + b'\n'
