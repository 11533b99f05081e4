# SPDX-License-Identifier: Apache-2.0
"""Running one node as a process: set up, spin, end cleanly."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import rclpy
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from lwd_ros.errors import ParameterError

Made = TypeVar('Made', bound=Node)

DIE_WITH_PARENT = 'LWD_DIE_WITH_PARENT'
"""Environment variable: set by whoever supervises nodes, so that none outlives it."""
_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """Ask Linux for a SIGTERM when the parent ends, if the parent wants that."""
    if os.environ.get(DIE_WITH_PARENT) and sys.platform == 'linux':
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))


class _Stop(BaseException):
    """Raised by a signal, in the main thread."""


def run(
    make: Callable[[], Made], args: Sequence[str] | None = None, *, events: bool = False,
    gather: Callable[[Made], float] = lambda _: 0.0,
) -> int:
    """Make a node, spin it until SIGINT or SIGTERM, and destroy it.

    rclpy's own handlers would invalidate the context before the node could end its threads and say
    its last words; here the node is destroyed first.

    Args:
        make: Makes the node.
        args: Of the command line; those of the process by default.
        events: Whether to take messages in the order in which they came over all topics, at a
            third of the cost: for a node that takes everything.
        gather: With events: how long messages may wait for each other, to be taken together, s;
            0 takes each as it comes. Most of what a message costs is waking up for it: of 300 a
            second, taken in batches of 0.1 s, each costs less than half.

    Returns:
        0 after a signal or shutdown, 2 if its parameters are refused.
    """
    _die_with_parent()
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    node: Made | None = None
    executor: Executor | None = None
    stopped: Future[None] = Future()

    def stop(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        # An EventsExecutor reports an exception in a callback as the callback's failure.
        if not events or executor is None:
            raise _Stop
        # Not here: whatever was interrupted may hold the future's lock.
        executor.create_task(stopped.set_result, None)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        node = make()
        executor = EventsExecutor() if events else SingleThreadedExecutor()
        executor.add_node(node)
        pause = gather(node)
        while rclpy.ok() and not stopped.done():
            # Bounded, because a wait in the middleware does not wake for a signal; and not spin(),
            # which in an EventsExecutor of rclpy 7.1 takes all of a core and delivers nothing.
            if pause:
                executor.spin_until_future_complete(stopped, timeout_sec=0.0)
                time.sleep(pause)
            else:
                executor.spin_once(timeout_sec=0.2)
    except ParameterError as error:
        sys.stderr.write(f'{error}\n')
        return 2
    except (_Stop, ExternalShutdownException):
        pass
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0
