# SPDX-License-Identifier: Apache-2.0
"""Scripted experts: one script a task, over shared skills."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from g1_description.errors import alternatives
from g1_sim.errors import UnknownTaskError
from g1_sim.experts.cocktail import cocktail
from g1_sim.experts.cooler import cooler
from g1_sim.experts.correct import correct
from g1_sim.experts.flaws import Flaws, draw
from g1_sim.experts.freezer import freezer
from g1_sim.experts.juice import juice
from g1_sim.experts.restock import restock
from g1_sim.experts.shoebox import shoebox
from g1_sim.experts.skills import Expert, Script
from g1_sim.experts.tea import tea
from g1_sim.world import World

__all__ = ['SCRIPTS', 'Expert', 'Flaws', 'STEPS', 'Script', 'draw_flaws', 'expert_for']

SCRIPTS: dict[str, Callable[[Expert], Script]] = {
    'restock': restock,
    'cooler': cooler,
    'correct': correct,
    'freezer': freezer,
    'shoebox': shoebox,
    'cocktail': cocktail,
    'juice': juice,
    'tea': tea,
}
STEPS = {'freezer': 3, 'tea': 5, 'juice': 7, 'cocktail': 8}
"""How many steps a script has, for flaws that leave one out or swap two."""
# Of shoebox; the other scripts not named above are of one piece and take no notice.
_STEPS = 6


def draw_flaws(world: World, rng: np.random.Generator, severity: float) -> Flaws:
    """Draw flaws for the expert of a world's task; see flaws.draw."""
    return draw(rng, severity, steps=STEPS.get(world.scene.task, _STEPS))


def expert_for(world: World, flaws: Flaws | None = None) -> Expert:
    """Return the expert for the scene of a world, with flaws if any are given.

    Raises:
        UnknownTaskError: No script for this task.
    """
    name = world.scene.task
    if name not in SCRIPTS:
        raise UnknownTaskError(f'no expert for task {name!r}{alternatives(name, SCRIPTS)}')
    return Expert(world, SCRIPTS[name], flaws)
