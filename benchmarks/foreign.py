# SPDX-License-Identifier: Apache-2.0
"""Programs with an environment of their own: a line of JSON each way."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any


class Foreign:
    """A process that answers requests, {'answer': ...} for each, until its input ends."""

    def __init__(
        self, command: Sequence[str], needs: str, *, folder: str | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Start it.

        Args:
            command: What runs.
            needs: What to look at if it ends by itself.
            folder: Where it runs; here by default.
            variables: Its environment; this one's by default.
        """
        self._command, self._needs = list(command), needs
        self._process = subprocess.Popen(
            command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder,
            env=None if variables is None else dict(variables))

    def ask(self, **request: Any) -> Any:
        """Return its answer to a request."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + '\n')
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ''
        if not line:
            raise SystemExit(
                f'{self._command[:2]} ended with status {self._process.wait()}; {self._needs}')
        return json.loads(line)['answer']

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # What one that ended by itself was asked last may still wait to be written.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
