# SPDX-License-Identifier: Apache-2.0
"""The expert for juice: each step looks whether it is done already and tries again if not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from g1_sim.experts.handling import (
    DOWN,
    UP,
    carry,
    grasp_point,
    holds,
    pick,
    pour,
    put,
    reach,
    release,
    start_over,
)
from g1_sim.experts.skills import Expert, Script, facing, together
from g1_sim.parts.counter import Layout
from g1_sim.parts.vessel import mouth
from g1_sim.tasks.juice import BUTTON_HEIGHT, BUTTON_TRAVEL, closed, filled, opened, served

Array = NDArray[np.float64]

_ATTEMPTS = 3
# Height over the counter at which an open hand passes over jug and glass, m.
_CLEAR = 0.185
# Where the hands meet, m, as places of the layout.
_POUR_AT = (0.56, -0.03)
_HAND_OVER_AT = (0.56, -0.02)
# Past the juicer, with the jug in the hand.
_ROUND = (0.57, 0.13)
# How far the hand that holds the glass turns inwards, rad, to stay clear of the jug's hand.
_HOLDING = 0.85
# How far the taking and the giving hand turn inwards to meet, rad: the fingers of the one must
# stay clear of the camera on the wrist of the other.
_TAKING, _GIVING = 1.5, 1.4
# How far the taking hand is closed on its way, 0 to 1, for the same reason.
_NARROW = 0.2
# Where the two hands hold the glass, m above its base and below its rim.
_LOW, _HIGH = 0.035, 0.015


def juice(expert: Expert) -> Script:
    """Fill and run the juicer, pour a glass and serve it."""
    yield from together(start_over(expert, 0), start_over(expert, 1))
    order = (1, 0) if expert.flaws.wrong_item else (0, 1)
    yield from expert.steps(
        lambda: _open(expert), lambda: _fill(expert, order[0]), lambda: _fill(expert, order[1]),
        lambda: _close(expert), lambda: _press(expert), lambda: _pour(expert),
        lambda: _serve(expert))


def _clear(expert: Expert) -> float:
    layout: Layout = expert.world.scene.facts['layout']
    return layout.top + _CLEAR


def _open(expert: Expert) -> Script:
    facts, world = expert.world.scene.facts, expert.world
    side, lid = facts['layout'].lead, facts['lid']
    for _ in range(_ATTEMPTS):
        if opened(world) == 1.0 or filled(world, 1) == 1.0:
            return
        yield from pick(expert, side, lid, clear=_clear(expert))
        if holds(expert, side, lid):
            yield from put(expert, side, lid, facts['mat'] + lid.depth * UP)
        else:
            yield from release(expert, side)


def _fill(expert: Expert, which: int) -> Script:
    facts, world = expert.world.scene.facts, expert.world
    side, pot, fruit = facts['layout'].other, facts['pot'], facts['fruits'][which]
    # One to each side, so that they come to lie beside each other.
    aside = 0.018 if which == 0 else -0.018
    over = np.array([pot.centre[0], pot.centre[1] + aside, pot.rim + fruit.radius + 0.025])
    for _ in range(_ATTEMPTS):
        if filled(world, which) == 1.0:
            return
        yield from pick(expert, side, fruit, clear=_clear(expert), lift=0.16)
        if holds(expert, side, fruit):
            yield from carry(expert, side, fruit, expert.place_at(over), level=False)
        yield from release(expert, side)
        yield from expert.rest(side)


def _close(expert: Expert) -> Script:
    facts, world = expert.world.scene.facts, expert.world
    side, lid, pot = facts['layout'].lead, facts['lid'], facts['pot']
    for _ in range(_ATTEMPTS):
        if closed(world) == 1.0:
            return
        yield from pick(expert, side, lid, clear=_clear(expert), lift=0.13)
        if holds(expert, side, lid):
            yield from put(expert, side, lid, np.array([*pot.centre, pot.rim]))
        else:
            yield from release(expert, side)
        yield from expert.rest(side)


def _press(expert: Expert) -> Script:
    facts = expert.world.scene.facts
    side, button = facts['layout'].lead, facts['button']
    rotation = reach(button, side)
    # The closed fingers' lower edge is about 0.02 m below the TCP.
    above = expert.place_at(button + (BUTTON_HEIGHT + 0.045) * UP)
    yield from expert.grip(side, 1.0)
    yield from expert.swing(side, above + 0.05 * UP, rotation)
    yield from expert.move(side, above, rotation)
    yield from expert.move(side, above - (0.030 + BUTTON_TRAVEL) * UP, rotation, speed=0.15)
    yield from expert.wait(4)
    yield from expert.move(side, above, rotation)
    yield from together(expert.rest(side), expert.grip(side, 0.0))


def _pour(expert: Expert) -> Script:
    facts, world = expert.world.scene.facts, expert.world
    if served(world) == 1.0:
        return
    layout, jug, glass = facts['layout'], facts['jug'], facts['glass']
    lead, other = layout.lead, layout.other
    for _ in range(_ATTEMPTS):
        yield from together(_take_glass(expert), _take_jug(expert))
        if holds(expert, lead, jug) and holds(expert, other, glass, _LOW):
            yield from carry(expert, other, glass, layout.spot(*_POUR_AT, above=0.024),
                             yaw=layout.sign * _HOLDING)
            break
    if holds(expert, lead, jug):
        yield from pour(expert, lead, jug, mouth(world, glass))
        height = float(world.body_position('jug')[2]) - layout.top
        yield from carry(expert, lead, jug, layout.spot(*_ROUND, above=height))
        yield from put(expert, lead, jug, facts['mat'])
    else:
        yield from release(expert, lead)
    yield from expert.rest(lead)


def _take_jug(expert: Expert) -> Script:
    facts = expert.world.scene.facts
    side, jug = facts['layout'].lead, facts['jug']
    if holds(expert, side, jug):
        return
    yield from start_over(expert, side)
    yield from pick(expert, side, jug, clear=_clear(expert), lift=0.08)
    yield from carry(expert, side, jug, facts['layout'].spot(*_ROUND, above=0.14))


def _take_glass(expert: Expert) -> Script:
    facts = expert.world.scene.facts
    side, glass = facts['layout'].other, facts['glass']
    if holds(expert, side, glass, _LOW):
        return
    yield from start_over(expert, side)
    yield from pick(expert, side, glass, clear=_clear(expert), height=_LOW, lift=0.024)


def _serve(expert: Expert) -> Script:
    facts, world = expert.world.scene.facts, expert.world
    layout, glass = facts['layout'], facts['glass']
    lead, other = layout.lead, layout.other
    high = glass.height - _HIGH
    for _ in range(_ATTEMPTS):
        if served(world) == 1.0:
            return
        if layout.sign * world.body_position('glass')[1] < 0.05:
            if not holds(expert, other, glass, _LOW):
                yield from _take_glass(expert)
            yield from _hand_over(expert, high)
        else:
            yield from pick(expert, lead, glass, clear=_clear(expert), height=high)
        if holds(expert, lead, glass, high):
            yield from put(expert, lead, glass, facts['tray'])
        else:
            yield from release(expert, lead)
        yield from together(expert.rest(lead), start_over(expert, other))


def _hand_over(expert: Expert, high: float) -> Script:
    """Hold the glass up with one hand, take it by its upper part with the other one."""
    layout: Layout = expert.world.scene.facts['layout']
    glass = expert.world.scene.facts['glass']
    lead, other = layout.lead, layout.other
    at = layout.spot(*_HAND_OVER_AT, above=0.075)
    yield from carry(expert, other, glass, at, yaw=layout.sign * _GIVING)
    spot = grasp_point(expert, glass, high)
    taking = facing(-layout.sign * _TAKING, DOWN)
    grasp = expert.grasp_at(spot, taking)
    yield from expert.grip(lead, _NARROW)
    yield from expert.swing(lead, grasp - 0.12 * taking[:, 2], taking)
    yield from expert.move(lead, grasp, taking, speed=0.25)
    yield from expert.grip(lead, 1.0)
    yield from expert.grip(other, 0.0)
    here, rotation = expert.hand(other)
    yield from expert.move(other, here - 0.12 * rotation[:, 2], rotation)
    yield from expert.rest(other)
