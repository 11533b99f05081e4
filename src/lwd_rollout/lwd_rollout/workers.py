# SPDX-License-Identifier: Apache-2.0
"""Processes for many episodes at once."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor


def workers(processes: int = 0) -> ProcessPoolExecutor:
    """Return a pool of fresh processes, one a core if none are asked for.

    Fresh ones, not forks: a fork of a process with threads (a ROS node has some) may wait for ever
    for a lock that one of them held.
    """
    return ProcessPoolExecutor(
        processes or os.cpu_count() or 1, mp_context=multiprocessing.get_context('spawn'))
