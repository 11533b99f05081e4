# SPDX-License-Identifier: Apache-2.0
"""The tasks, one module each, and their registry."""

from __future__ import annotations

from g1_description.errors import alternatives
from g1_sim.errors import UnknownTaskError
from g1_sim.tasks.base import Judge, Task, Terminal, Verdict
from g1_sim.tasks.cocktail import Cocktail
from g1_sim.tasks.cooler import Cooler
from g1_sim.tasks.correct import Correct
from g1_sim.tasks.freezer import Freezer
from g1_sim.tasks.juice import Juice
from g1_sim.tasks.restock import Restock
from g1_sim.tasks.shoebox import Shoebox
from g1_sim.tasks.tea import Tea

__all__ = ['TASKS', 'Judge', 'Task', 'Terminal', 'Verdict', 'get']

TASKS: dict[str, Task] = {task.name: task for task in (
    Restock(),
    Correct(),
    Freezer(),
    Cooler(),
    Tea(),
    Juice(),
    Cocktail(),
    Shoebox(),
)}
"""The short ones first, in the paper's order."""


def get(name: str) -> Task:
    """Return a task by name.

    Raises:
        UnknownTaskError: No such task; the message lists those there are.
    """
    if name in TASKS:
        return TASKS[name]
    raise UnknownTaskError(f'unknown task {name!r}{alternatives(name, TASKS)}')
