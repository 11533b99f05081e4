# SPDX-License-Identifier: Apache-2.0
"""Running one node as a process: set up, spin, end cleanly."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Sequence

import rclpy
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from lwd_ros.errors import ParameterError

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
    make: Callable[[], Node], args: Sequence[str] | None = None, *, events: bool = False,
) -> int:
    """Make a node, spin it until SIGINT or SIGTERM, and destroy it.

    rclpy's own handlers would invalidate the context before the node could end its threads and say
    its last words; here the node is destroyed first.

    Args:
        make: Makes the node.
        args: Of the command line; those of the process by default.
        events: Whether to take messages in the order in which they came over all topics, at a
            third of the cost: for a node that takes everything.

    Returns:
        0 after a signal or shutdown, 2 if its parameters are refused.
    """
    _die_with_parent()
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    node: Node | None = None
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        # An EventsExecutor reports an exception in a callback as the callback's failure.
        if not events or node is None:
            raise _Stop

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        node = make()
        executor: Executor = EventsExecutor() if events else SingleThreadedExecutor()
        executor.add_node(node)
        while rclpy.ok() and not stopped:
            # Bounded, because a wait in the middleware does not wake for a signal; and not spin(),
            # which in an EventsExecutor of rclpy 7.1 takes all of a core and delivers nothing.
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
