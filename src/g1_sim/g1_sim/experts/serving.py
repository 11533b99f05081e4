# SPDX-License-Identifier: Apache-2.0
"""Steps that scripts with pots, lids and cups share; what is done already they leave out.

The leading hand opens, closes and pours, the other one holds the cup and hands it over. They read
the facts that tasks.serving names, and mat: where the lid is put aside.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from g1_sim.experts.grasp import Thing, holds, let_go_upwards, pick_from_above, start_over
from g1_sim.experts.handling import carry, free_hands, hand_over, pour, put
from g1_sim.experts.skills import Expert, Script, together
from g1_sim.parts.counter import Layout
from g1_sim.parts.vessel import Vessel, mouth
from g1_sim.tasks.serving import closed, opened, served

Array = NDArray[np.float64]

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
# Where the two hands hold the cup, m above its base and below its rim.
_LOW, _HIGH = 0.035, 0.015


def begin(expert: Expert, things: Sequence[Thing]) -> Script:
    """Put down what is in a hand: the lid on its mat, all else where it stood at the start.

    The cup in the leading hand has been handed over already: it goes on the tray.
    """
    world, facts = expert.world, expert.world.scene.facts

    def place(side: int, thing: Thing) -> Array:
        if thing is facts['cup'] and side == facts['layout'].lead:
            return facts['tray']
        return facts['mat'] if thing is facts['lid'] else world.scene.placements[thing.name][0]

    yield from free_hands(expert, things, place)


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
        yield from pick_from_above(expert, side, lid, clear=clear(expert), lift=lift)
        if holds(expert, side, lid):
            yield from put(expert, side, lid, facts['mat'])
        else:
            yield from let_go_upwards(expert, side)


def put_lid_on(expert: Expert, lift: float) -> Script:
    """Lift the lid by so many m and put it back on the pot."""
    facts = expert.world.scene.facts
    side, lid, pot = facts['layout'].lead, facts['lid'], facts['pot']
    for _ in range(ATTEMPTS):
        if closed(expert.world) == 1.0:
            return
        yield from pick_from_above(expert, side, lid, clear=clear(expert), lift=lift)
        if holds(expert, side, lid):
            yield from put(expert, side, lid, lid.seat(pot.rim))
        else:
            yield from let_go_upwards(expert, side)
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
        yield from let_go_upwards(expert, lead)
    yield from expert.rest(lead)


def _take(expert: Expert, source: Vessel) -> Script:
    layout: Layout = expert.world.scene.facts['layout']
    if holds(expert, layout.lead, source):
        return
    yield from start_over(expert, layout.lead, upwards=True)
    yield from pick_from_above(expert, layout.lead, source, clear=clear(expert), lift=0.08)
    yield from carry(expert, layout.lead, source, layout.spot(*_ROUND, above=0.14))


def _take_cup(expert: Expert) -> Script:
    facts = expert.world.scene.facts
    side, cup = facts['layout'].other, facts['cup']
    if holds(expert, side, cup, _LOW):
        return
    yield from start_over(expert, side, upwards=True)
    yield from pick_from_above(
        expert, side, cup, clear=clear(expert), height=_LOW, lift=_POUR_ABOVE)


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
            at = layout.spot(*_HAND_OVER_AT, above=_HAND_OVER_ABOVE)
            yield from hand_over(expert, other, cup, at, high=high)
        else:
            yield from pick_from_above(expert, lead, cup, clear=clear(expert), height=high)
        if holds(expert, lead, cup, high):
            yield from put(expert, lead, cup, facts['tray'])
        else:
            yield from let_go_upwards(expert, lead)
        yield from together(expert.rest(lead), start_over(expert, other, upwards=True))
