# SPDX-License-Identifier: Apache-2.0
"""Runs `lwd demo` for the benchmarks `demo` and `demo_gain`, and goes on with what was begun."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lwd_bringup.loop import history
from lwd_bringup.loop.folder import SUMMARY, TIMELINE
from lwd_bringup.loop.plan import FILE
from lwd_bringup.loop.state import EpisodeFact

_STARTED = 'supervisord.conf'
"""Written just before a fleet's processes are started."""


class Run:
    """One run of the demo in a folder."""

    def __init__(self, folder: Path, words: Sequence[str]) -> None:
        """Name the folder and the arguments of a new run."""
        self.folder, self.words = folder, list(words)

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
        # No demo goes on behind a benchmark that was stopped.
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        process = subprocess.Popen(command)
        try:
            process.wait()
        except BaseException:
            process.terminate()
            process.wait(60)
            raise
        finally:
            signal.signal(signal.SIGTERM, before)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)

    def loop_closed(self) -> float:
        """Return the seconds from the command to the first policy that a robot swapped in.

        Infinite if none did, not a number for a run with several starts.
        """
        found = history.read(self.folder / TIMELINE)
        if found.starts != 1:
            return math.nan
        swaps = [moment for policy in found.fact.policies[1:]
                 for moment in policy.running.values()]
        prepared = (self.folder / _STARTED).stat().st_mtime - (self.folder / FILE).stat().st_mtime
        return prepared + min(swaps, default=math.inf)

    def episodes(self) -> list[EpisodeFact]:
        """Return its episodes, as they ended."""
        return sorted(history.read(self.folder / TIMELINE).fact.episodes,
                      key=lambda each: each.ended)
