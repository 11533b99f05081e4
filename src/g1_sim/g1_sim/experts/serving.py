# SPDX-License-Identifier: Apache-2.0
"""Steps that scripts with pots, lids and cups share; what is done already they leave out.

The leading hand opens, closes and pours, the other one holds the cup and hands it over. They read
the facts that tasks.serving names, and mat: where the lid is put aside.
"""

from __future__ import annotations

import numpy as np

from g1_sim.experts.handling import (
    DOWN,
    UP,
    carry,
    grasp_point,
    holds,
    pick,
    pour,
    put,
    release,
    start_over,
)
from g1_sim.experts.skills import Expert, Script, facing, together
from g1_sim.parts.layout import Layout
from g1_sim.parts.pots import Vessel, mouth
from g1_sim.tasks.serving import closed, opened, served

ATTEMPTS = 3
# Height over the counter at which an open hand passes over all that stands there, m.
_CLEAR = 0.185
# Where the hands meet, m, as places of the layout, and how high the cup is held there.
_POUR_AT, _POUR_ABOVE = (0.56, -0.03), 0.024
_HAND_OVER_AT, _HAND_OVER_ABOVE = (0.56, -0.02), 0.075
# Past the pot, with a vessel in the hand.
_ROUND = (0.57, 0.13)
# How far the hand that holds the cup turns inwards, rad, to stay clear of the pouring hand.
_HOLDING = 0.85
# How far the taking and the giving hand turn inwards to meet, rad: the fingers of the one must
# stay clear of the camera on the wrist of the other.
_TAKING, _GIVING = 1.5, 1.4
# How far the taking hand is closed on its way, 0 to 1, for the same reason.
_NARROW = 0.2
# Where the two hands hold the cup, m above its base and below its rim.
_LOW, _HIGH = 0.035, 0.015


def clear(expert: Expert) -> float:
    """Return the height, m, at which an open hand passes over all that stands about."""
    layout: Layout = expert.world.scene.facts['layout']
    return layout.top + _CLEAR


def take_lid_off(expert: Expert, lift: float) -> Script:
    """Lift the lid off the pot by so many m and put it on its mat."""
    facts = expert.world.scene.facts
    side, lid = facts['layout'].lead, facts['lid']
    for _ in range(ATTEMPTS):
        if opened(expert.world) == 1.0:
            return
        yield from pick(expert, side, lid, clear=clear(expert), lift=lift)
        if holds(expert, side, lid):
            yield from put(expert, side, lid, facts['mat'] + lid.depth * UP)
        else:
            yield from release(expert, side)


def put_lid_on(expert: Expert, lift: float) -> Script:
    """Lift the lid by so many m and put it back on the pot."""
    facts = expert.world.scene.facts
    side, lid, pot = facts['layout'].lead, facts['lid'], facts['pot']
    for _ in range(ATTEMPTS):
        if closed(expert.world) == 1.0:
            return
        yield from pick(expert, side, lid, clear=clear(expert), lift=lift)
        if holds(expert, side, lid):
            yield from put(expert, side, lid, np.array([*pot.centre, pot.rim]))
        else:
            yield from release(expert, side)
        yield from expert.rest(side)


def pour_cup(expert: Expert, source: Vessel) -> Script:
    """Hold the cup up with one hand, pour into it with the other, put that vessel on the mat."""
    facts, world = expert.world.scene.facts, expert.world
    if served(world) == 1.0:
        return
    layout, cup = facts['layout'], facts['cup']
    lead, other = layout.lead, layout.other
    for _ in range(ATTEMPTS):
        yield from together(_take_cup(expert), _take(expert, source))
        if holds(expert, lead, source) and holds(expert, other, cup, _LOW):
            yield from carry(expert, other, cup, layout.spot(*_POUR_AT, above=_POUR_ABOVE),
                             yaw=layout.sign * _HOLDING)
            break
    if holds(expert, lead, source):
        yield from pour(expert, lead, source, mouth(world, cup))
        height = float(world.body_position(source.name)[2]) - layout.top
        yield from carry(expert, lead, source, layout.spot(*_ROUND, above=height))
        yield from put(expert, lead, source, facts['mat'])
    else:
        yield from release(expert, lead)
    yield from expert.rest(lead)


def _take(expert: Expert, source: Vessel) -> Script:
    layout: Layout = expert.world.scene.facts['layout']
    if holds(expert, layout.lead, source):
        return
    yield from start_over(expert, layout.lead)
    yield from pick(expert, layout.lead, source, clear=clear(expert), lift=0.08)
    yield from carry(expert, layout.lead, source, layout.spot(*_ROUND, above=0.14))


def _take_cup(expert: Expert) -> Script:
    facts = expert.world.scene.facts
    side, cup = facts['layout'].other, facts['cup']
    if holds(expert, side, cup, _LOW):
        return
    yield from start_over(expert, side)
    yield from pick(expert, side, cup, clear=clear(expert), height=_LOW, lift=_POUR_ABOVE)


def serve(expert: Expert) -> Script:
    """Hand the cup over and set it on the tray on the leading hand's side."""
    facts, world = expert.world.scene.facts, expert.world
    layout, cup = facts['layout'], facts['cup']
    lead, other = layout.lead, layout.other
    high = cup.height - _HIGH
    for _ in range(ATTEMPTS):
        if served(world) == 1.0:
            return
        if layout.sign * world.body_position(cup.name)[1] < 0.05:
            if not holds(expert, other, cup, _LOW):
                yield from _take_cup(expert)
            yield from _hand_over(expert, high)
        else:
            yield from pick(expert, lead, cup, clear=clear(expert), height=high)
        if holds(expert, lead, cup, high):
            yield from put(expert, lead, cup, facts['tray'])
        else:
            yield from release(expert, lead)
        yield from together(expert.rest(lead), start_over(expert, other))


def _hand_over(expert: Expert, high: float) -> Script:
    """Hold the cup up with one hand, take it by its upper part with the other one."""
    layout: Layout = expert.world.scene.facts['layout']
    cup = expert.world.scene.facts['cup']
    lead, other = layout.lead, layout.other
    at = layout.spot(*_HAND_OVER_AT, above=_HAND_OVER_ABOVE)
    yield from carry(expert, other, cup, at, yaw=layout.sign * _GIVING)
    taking = facing(-layout.sign * _TAKING, DOWN)
    grasp = expert.grasp_at(grasp_point(expert, cup, high), taking)
    yield from expert.grip(lead, _NARROW)
    yield from expert.swing(lead, grasp - 0.12 * taking[:, 2], taking)
    yield from expert.move(lead, grasp, taking, speed=0.25)
    yield from expert.grip(lead, 1.0)
    yield from expert.grip(other, 0.0)
    here, rotation = expert.hand(other)
    yield from expert.move(other, here - 0.12 * rotation[:, 2], rotation)
    yield from expert.rest(other)
