# SPDX-License-Identifier: Apache-2.0
"""Interrupts: what must not be stopped halfway, and what failed because it was."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def signals_held() -> Iterator[None]:
    """Let signals that come meanwhile take effect afterwards.

    Python runs handlers of signals wherever the main thread is: inside rclpy's extensions, where
    what they raise comes out as another error, or halfway through a library's own bookkeeping.
    Keep what is inside short, or nobody can interrupt it.
    """
    came: list[int] = []
    before = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in _NUMBERS:
                # What is ignored, or ends the process at once, stays so.
                if callable(handler := signal.getsignal(number)):
                    before[number] = handler
                    signal.signal(number, lambda number, _: came.append(number))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for each in came:
            before[signal.Signals(each)](each, None)


def interrupted(error: BaseException | None) -> bool:
    """Return whether an error is an interrupt, or came while one was being handled.

    Wherever an interrupt arrives, what tidies up behind it may find things half done, and fail;
    that is still the interrupt's doing.
    """
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__context__
    return False
