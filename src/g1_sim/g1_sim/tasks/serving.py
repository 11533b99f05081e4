# SPDX-License-Identifier: Apache-2.0
"""Progress of subtasks that tasks of pots, lids and cups share.

They read these facts of a scene: layout, pot, lid, cup (the vessel that is served) and tray.
"""

from __future__ import annotations

import numpy as np

from g1_sim.parts.pots import Vessel, mouth, pours, upright
from g1_sim.world import World

TRAY_RADIUS = 0.055
"""m."""


def opened(world: World) -> float:
    """Lid: 1 if it lies free on the counter, 0.5 if it is off the pot."""
    facts = world.scene.facts
    lid, pot = facts['lid'], facts['pot']
    at = world.body_position(lid.name)
    away = float(np.hypot(*(at[:2] - pot.centre)))
    if (away > pot.inner + lid.radius and at[2] < pot.floor + 0.03 and world.resting(lid.name)
            and not world.touched_by_robot(lid.name)):
        return 1.0
    return 0.5 if at[2] > pot.rim + lid.depth + 0.01 or away > pot.inner + lid.radius else 0.0


def closed(world: World) -> float:
    """Lid: 1 if it sits in the pot's mouth and is let go of, 0.5 if it is over the pot."""
    pot, lid = world.scene.facts['pot'], world.scene.facts['lid']
    at = world.body_position(lid.name)
    if np.hypot(*(at[:2] - pot.centre)) > 0.03 or at[2] < pot.rim - 0.01:
        return 0.0
    seated = (abs(at[2] - pot.rim) < 0.004 and upright(world, lid.name)
              and not world.touched_by_robot(lid.name))
    return 1.0 if seated else 0.5


def pours_into_cup(world: World, source: Vessel) -> bool:
    """Whether a vessel pours into the upright cup now."""
    cup = world.scene.facts['cup']
    return upright(world, cup.name) and pours(world, source, mouth(world, cup), cup.radius)


def served(world: World) -> float:
    """Cup: 1 if it stands free on the tray, 0.5 if it is upright on the tray's side."""
    facts = world.scene.facts
    cup, tray, layout = facts['cup'].name, facts['tray'], facts['layout']
    at = world.body_position(cup)
    if not upright(world, cup):
        return 0.0
    if (np.hypot(*(at - tray)[:2]) < TRAY_RADIUS and abs(at[2] - layout.top) < 0.01
            and world.resting(cup) and not world.touched_by_robot(cup)):
        return 1.0
    return 0.5 if layout.sign * at[1] > 0.06 else 0.0


def fallen(world: World) -> str:
    """Return what lies on the floor, as a reason to give up, or an empty string."""
    for name in world.scene.placements:
        if world.body_position(name)[2] < 0.3:
            return f'the {name} fell to the floor'
    return ''
