# SPDX-License-Identifier: Apache-2.0
"""Results that come one by one, a JSON line each, so that a kill costs one of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Lines:
    """A file of JSON lines that is gone on with."""

    def __init__(self, file: Path) -> None:
        """Read what is there; a last line that a kill cut short is taken away."""
        self._file = file
        self.rows: list[dict[str, Any]] = []
        file.parent.mkdir(parents=True, exist_ok=True)
        whole = 0
        if file.is_file():
            content = file.read_bytes()
            for line in content.splitlines(keepends=True):
                try:
                    row = json.loads(line)
                except ValueError:
                    break
                if not line.endswith(b'\n'):
                    break
                self.rows.append(row)
                whole += len(line)
            if whole < len(content):
                with file.open('r+b') as open_file:
                    open_file.truncate(whole)

    def add(self, row: Mapping[str, Any]) -> None:
        """Append a result."""
        with self._file.open('a', encoding='utf-8') as file:
            file.write(json.dumps(dict(row)) + '\n')
        self.rows.append(dict(row))

    def remove(self) -> None:
        """Remove the file: its content is elsewhere now."""
        self._file.unlink(missing_ok=True)
