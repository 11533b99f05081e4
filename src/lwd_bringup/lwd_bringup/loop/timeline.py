# SPDX-License-Identifier: Apache-2.0
"""Writes what is known of a fleet, every few seconds, as lines that hold only what is new.

A line is a FleetFact as JSON, and `before`: the seconds of the earlier starts. Of the episodes and
policies it has those that are new, or changed since the line before, so that the file grows with
the run and not with its square; `history.read` puts them together again.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from lwd_bringup.errors import BringupError
from lwd_bringup.loop.state import FleetFact

_GROWING = ('episodes', 'policies')
_Known = dict[tuple[str, int], dict[str, Any]]


class Timeline:
    """The timeline of one start of a run, behind those of the starts before."""

    def __init__(self, file: Path, before: float) -> None:
        """Open the file.

        Args:
            file: Of the run; made if missing.
            before: How long the fleet ran in earlier starts, s.

        Raises:
            OSError: It cannot be written.
        """
        self._before = before
        self._told: _Known = {}
        """What was said last of each episode and policy, by its place in its list."""
        # Unbuffered: what a full disk did not take must not follow later, behind a newer line.
        self._file = file.open('a+b', buffering=0)
        size = self._file.seek(0, 2)
        if size:
            self._file.seek(size - 1)
        # What a kill cut short is a line of its own.
        self._cut = size > 0 and self._file.read(1) != b'\n'

    def add(self, fact: FleetFact) -> None:
        """Write a line of what is new.

        Raises:
            OSError: The disk refuses; the next line then tells what this one would have told.
        """
        line: dict[str, Any] = {**vars(fact), 'before': self._before}
        news: _Known = {}
        for name in _GROWING:
            line[name] = []
            for place, each in enumerate(getattr(fact, name)):
                if self._told.get((name, place)) != vars(each):
                    news[name, place] = copy.deepcopy(vars(each))
                    line[name].append(vars(each))
        data = memoryview(
            b'\n' * self._cut + json.dumps(line, default=vars).encode() + b'\n')
        self._cut = True
        while data:
            data = data[self._file.write(data):]
        self._cut = False
        self._told |= news

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Timeline:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def rows(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a timeline; an empty one for a line that was cut short.

    Raises:
        BringupError: The file cannot be read.
    """
    try:
        with file.open(encoding='utf-8', errors='replace') as lines:
            for line in lines:
                try:
                    row = json.loads(line)
                except ValueError:
                    row = {}
                yield row if isinstance(row, dict) else {}
    except FileNotFoundError:
        return
    except OSError as error:
        raise BringupError(f'{file} cannot be read: {error.strerror}') from error


def time_spent(file: Path) -> float:
    """Return how long the fleet ran in all starts of a timeline, s.

    Raises:
        BringupError: The file cannot be read.
    """
    spent = 0.0
    for row in rows(file):
        try:
            spent = float(row['seconds']) + float(row['before'])
        except (KeyError, TypeError, ValueError):
            continue
    return spent
