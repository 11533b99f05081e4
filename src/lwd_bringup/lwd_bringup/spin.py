# SPDX-License-Identifier: Apache-2.0
"""Listening to ROS so that it can be interrupted at any moment."""

from __future__ import annotations

import signal
import threading
from typing import Protocol

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Spins(Protocol):
    """An executor of rclpy."""

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait for something to do, and do it."""


def spin_once(executor: Spins, seconds: float) -> None:
    """Let an executor do one thing; a signal that comes meanwhile takes effect behind it.

    Python runs handlers of signals wherever it is, within rclpy's extensions as well, and what
    they raise there comes out as another error.

    Args:
        executor: Whose turn it is.
        seconds: How long it waits at most.
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
        executor.spin_once(timeout_sec=seconds)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for each in came:
            before[signal.Signals(each)](each, None)
