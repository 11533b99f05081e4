# SPDX-License-Identifier: Apache-2.0
"""The tasks, one module each, and their registry."""

from __future__ import annotations

import difflib

from g1_sim.errors import UnknownTaskError
from g1_sim.tasks.base import Judge, Task, Terminal, Verdict
from g1_sim.tasks.restock import Restock

__all__ = ['TASKS', 'Judge', 'Task', 'Terminal', 'Verdict', 'get']

TASKS: dict[str, Task] = {task.name: task for task in (Restock(),)}


def get(name: str) -> Task:
    """Return a task by name.

    Raises:
        UnknownTaskError: No such task; the message lists those there are.
    """
    if name in TASKS:
        return TASKS[name]
    close = difflib.get_close_matches(name, TASKS, n=1)
    hint = f'; did you mean {close[0]!r}?' if close else '.'
    raise UnknownTaskError(f'unknown task {name!r}{hint} Known: {", ".join(sorted(TASKS))}')
