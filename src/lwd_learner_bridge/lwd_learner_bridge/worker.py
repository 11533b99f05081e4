# SPDX-License-Identifier: Apache-2.0
"""A thread that does a core's work, so that callbacks never wait for a disk or a server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Core(Protocol):
    """What a worker runs."""

    def work(self) -> float:
        """Do a piece of work; returns after how many seconds to call again."""

    def close(self) -> None:
        """Let go of all it holds."""


C = TypeVar('C', bound=Core)
_LONGEST = 1.0


class Worker(Generic[C]):
    """Makes a core in a thread of its own and works it until it is stopped."""

    def __init__(
        self, make: Callable[[], C], retry: tuple[type[Exception], ...],
        report: Callable[[str], None], *, pause: float = 1.0,
    ) -> None:
        """Start.

        Args:
            make: Makes the core, in the thread: databases do not like to change threads.
            retry: Errors after which it is made anew, such as a store that is not there yet.
            report: Told of them.
            pause: Before it is made anew, s.
        """
        self.core: C | None = None
        """While it works."""
        self.failure = ''
        """Why it does not."""
        self._make, self._retry, self._report, self._pause = make, retry, report, pause
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name='worker', daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Let it work now; from any thread."""
        self._wake.set()

    def stop(self, timeout: float = 5.0) -> bool:
        """End it after the present piece of work; returns whether it ended in time."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._work()
        finally:
            if not self._stopping.is_set():
                # The trace is in the log; who watches the node shall see it too.
                self.failure = 'it ended with an error that nobody foresaw; see the log'

    def _work(self) -> None:
        while not self._stopping.is_set():
            core: C | None = None
            try:
                core = self._make()
                self.core, self.failure = core, ''
                while not self._stopping.is_set():
                    # Cleared before the work: what comes meanwhile is not missed.
                    self._wake.clear()
                    delay = core.work()
                    if delay > 0.0:
                        self._wake.wait(min(delay, _LONGEST))
            except self._retry as error:
                if not self._stopping.is_set():
                    if str(error) != self.failure:
                        self._report(str(error))
                    self.failure = str(error)
                    self._stopping.wait(self._pause)
            finally:
                self.core = None
                if core is not None:
                    core.close()
