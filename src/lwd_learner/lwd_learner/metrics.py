# SPDX-License-Identifier: Apache-2.0
"""Metrics: averaged between log lines, as JSON lines and for TensorBoard."""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = 'metrics.jsonl'


class Metrics:
    """Writes a run's metrics; a resumed run goes on where the checkpoint was."""

    def __init__(self, folder: Path, *, from_step: int = 0, tensorboard: bool = True) -> None:
        """Open the files.

        Args:
            folder: Of the run.
            from_step: Lines of later updates, written before a kill, are taken away.
            tensorboard: Whether to write its files too.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / FILE
        self._cut(from_step)
        self._file = self._path.open('a', encoding='utf-8')
        self._board: Any = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter
            self._board = SummaryWriter(str(folder / 'tensorboard'), purge_step=from_step)
        self._sums: dict[str, list[float]] = defaultdict(list)
        self._began = time.monotonic()

    def _cut(self, from_step: int) -> None:
        if not self._path.is_file():
            return
        kept = [row for row in read(self._path) if row['step'] < from_step]
        temporary = self._path.with_name(FILE + '.part')
        temporary.write_text(''.join(json.dumps(row) + '\n' for row in kept), encoding='utf-8')
        temporary.replace(self._path)

    def add(self, values: Mapping[str, float]) -> None:
        """Take in the metrics of an update."""
        for name, value in values.items():
            self._sums[name].append(value)

    def write(self, step: int, phase: str) -> dict[str, float]:
        """Write the averages since the last line; returns them."""
        averages = {name: sum(values) / len(values) for name, values in self._sums.items()}
        self._sums.clear()
        self.note(step, phase, averages)
        return averages

    def note(self, step: int, phase: str, values: Mapping[str, Any]) -> None:
        """Write a line of its own."""
        row = {'step': step, 'phase': phase,
               'seconds': round(time.monotonic() - self._began, 3), **values}
        self._file.write(json.dumps(row) + '\n')
        self._file.flush()
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, int | float) and math.isfinite(value):
                    self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._board is not None:
            self._board.close()


def read(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a metrics file; a last line that a kill cut short is left out."""
    rows = []
    for line in path.read_text(encoding='utf-8').splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
