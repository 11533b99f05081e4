# SPDX-License-Identifier: Apache-2.0
"""Progress of subtasks that tasks of pots, lids and cups share.

They read these facts of a scene: layout, pot, lid, cup (the vessel that is served) and tray.
"""

from __future__ import annotations

import numpy as np

from g1_sim.parts.lid import seated
from g1_sim.parts.vessel import Vessel, mouth, pours, upright
from g1_sim.scene import Rgba
from g1_sim.world import World

TRAY_RADIUS = 0.055
"""m."""
_UP = np.array([0.0, 0.0, 1.0])
# Over the pot's mouth, and in it, m.
_NEAR, _PLAY = 0.03, 0.02


def filled_vessel(
    name: str, radius: float, height: float, mass: float, friction: float, rgba: Rgba,
    content: Rgba,
) -> Vessel:
    """Return a vessel that is held below its middle, so that another hand can take it above."""
    return Vessel(name, radius, height, 0.42 * height, mass, rgba, friction, content)


def opened(world: World) -> float:
    """Lid: 1 if it lies free on the counter, 0.5 if it is off the pot."""
    facts = world.scene.facts
    lid, pot = facts['lid'], facts['pot']
    at = world.body_position(lid.name)
    away = float(np.hypot(*(at[:2] - pot.centre))) > pot.inner + lid.flange
    if (away and at[2] < pot.floor + 0.02 and world.resting(lid.name)
            and not world.touched_by_robot(lid.name)):
        return 1.0
    return 0.5 if away or at[2] > pot.rim[2] + 0.01 else 0.0


def closed(world: World) -> float:
    """Lid: 1 if it sits in the pot's mouth and is let go of, 0.5 if it is over the pot."""
    pot, lid = world.scene.facts['pot'], world.scene.facts['lid']
    apart = world.body_position(lid.name) - lid.seat(pot.rim)
    if np.hypot(apart[0], apart[1]) > _NEAR or apart[2] < -0.01:
        return 0.0
    sits = seated(world, lid, pot.rim, _UP, _PLAY) and not world.touched_by_robot(lid.name)
    return 1.0 if sits else 0.5


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
