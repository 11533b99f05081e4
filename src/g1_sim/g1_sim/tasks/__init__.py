# SPDX-License-Identifier: Apache-2.0
"""The tasks, one module each, and their registry."""

from __future__ import annotations

from g1_description.errors import alternatives
from g1_sim.errors import UnknownTaskError
from g1_sim.tasks.base import Judge, Task, Terminal, Verdict
from g1_sim.tasks.juice import Juice
from g1_sim.tasks.restock import Restock

__all__ = ['TASKS', 'Judge', 'Task', 'Terminal', 'Verdict', 'get']

TASKS: dict[str, Task] = {task.name: task for task in (
    Restock(),
    Juice(),
)}


def get(name: str) -> Task:
    """Return a task by name.

    Raises:
        UnknownTaskError: No such task; the message lists those there are.
    """
    if name in TASKS:
        return TASKS[name]
    raise UnknownTaskError(f'unknown task {name!r}{alternatives(name, TASKS)}')
