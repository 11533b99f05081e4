# SPDX-License-Identifier: Apache-2.0
"""Processes for many episodes at once."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from types import TracebackType
from typing import ParamSpec, TypeVar

from lwd_ros.signals import signals_held

_PR_SET_PDEATHSIG = 1

P = ParamSpec('P')
T = TypeVar('T')


class Workers(ProcessPoolExecutor):
    """A pool that does not go on when who asked for it does not want to wait any more."""

    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs,
    ) -> Future[T]:
        """Ask for a call, as the base does; an interrupt waits until the pool knows of it.

        The first call starts threads and processes. A pool that was interrupted halfway through
        that can neither go on nor be shut down.
        """
        with signals_held():
            return super().submit(fn, *args, **kwargs)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            # Ctrl-C, or an episode that failed: the others may have minutes left.
            for process in list((self._processes or {}).values()):
                process.kill()
        self.shutdown(wait=True, cancel_futures=error is not None)


def workers(processes: int = 0) -> Workers:
    """Return a pool of fresh processes, one a core if none are asked for.

    Fresh ones, not forks: a fork of a process with threads (a ROS node has some) may wait for ever
    for a lock that one of them held.
    """
    return Workers(
        processes or os.cpu_count() or 1, mp_context=multiprocessing.get_context('spawn'),
        initializer=_belong_to_parent)


def _belong_to_parent() -> None:
    """End with the parent, and leave Ctrl-C, which a terminal sends to all, to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        # It ended before this process had asked to end with it.
        os._exit(1)
