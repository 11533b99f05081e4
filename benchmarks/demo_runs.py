# SPDX-License-Identifier: Apache-2.0
"""Runs `lwd demo` for the benchmarks `demo` and `demo_gain`, and goes on with what was begun."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lwd_bringup.loop import history
from lwd_bringup.loop.folder import SUMMARY, TIMELINE
from lwd_bringup.loop.plan import FILE

_LOOK_SECONDS = 2.0


class Run:
    """One run of the demo in a folder."""

    def __init__(self, folder: Path, words: Sequence[str]) -> None:
        """Name the folder and the arguments of a new run."""
        self.folder, self.words = folder, list(words)
        self.first_swap = float('inf')
        """From the start of the command to the first policy that a robot swapped in, s."""

    def finish(self) -> dict[str, Any]:
        """Run it, or what is left of it; returns its summary.

        Raises:
            CalledProcessError: It failed; it has said why.
        """
        file = self.folder / SUMMARY
        if not file.is_file():
            self._run()
        return dict(json.loads(file.read_text(encoding='utf-8')))

    def _run(self) -> None:
        begun = (self.folder / FILE).is_file()
        words = ['--resume', str(self.folder)] if begun else [
            '--dir', str(self.folder), *self.words]
        command = [sys.executable, '-m', 'lwd_bringup.cli', 'demo', '--port', '0', *words]
        began = time.monotonic()
        # No demo goes on behind a benchmark that was stopped.
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        process = subprocess.Popen(command)
        try:
            while process.poll() is None:
                if self.first_swap == float('inf') and self._swapped():
                    self.first_swap = time.monotonic() - began
                time.sleep(_LOOK_SECONDS)
        except BaseException:
            process.terminate()
            process.wait(60)
            raise
        finally:
            signal.signal(signal.SIGTERM, before)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)

    def _swapped(self) -> bool:
        policies = history.read(self.folder / TIMELINE).fact.policies
        return any(policy.running for policy in policies[1:])
