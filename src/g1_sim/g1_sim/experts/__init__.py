# SPDX-License-Identifier: Apache-2.0
"""Scripted experts: one script a task, over shared skills."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from g1_sim.errors import UnknownTaskError
from g1_sim.experts.restock import restock
from g1_sim.experts.skills import Expert, Script
from g1_sim.world import World

__all__ = ['SCRIPTS', 'Expert', 'Script', 'expert_for']

SCRIPTS: dict[str, Callable[[Expert], Script]] = {'restock': restock}


def expert_for(world: World) -> Expert:
    """Return the expert for the scene of a world.

    Raises:
        UnknownTaskError: No script for this task.
    """
    name = world.scene.task
    if name not in SCRIPTS:
        close = difflib.get_close_matches(name, SCRIPTS, n=1)
        hint = f'; did you mean {close[0]!r}?' if close else '.'
        raise UnknownTaskError(f'no expert for task {name!r}{hint} '
                               f'Known: {", ".join(sorted(SCRIPTS))}')
    return Expert(world, SCRIPTS[name])
