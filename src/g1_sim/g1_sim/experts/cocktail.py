# SPDX-License-Identifier: Apache-2.0
"""The expert for cocktail: each hand works what stands on its side; try again what slips."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from g1_sim.experts.grasp import (
    UP,
    Thing,
    closed_around,
    grasp_point,
    holds,
    let_go_upwards,
    pick_from_above,
    pick_from_front,
    reach,
)
from g1_sim.experts.handling import LIFT, carry, free_hands, hand_over, pour, put
from g1_sim.experts.skills import Expert, Pace, Script, together
from g1_sim.experts.turns import Turns
from g1_sim.parts.counter import Layout, side_of
from g1_sim.parts.shelf import SHELF_X
from g1_sim.parts.vessel import mouth
from g1_sim.tasks.cocktail_judge import closed, near, stands

Array = NDArray[np.float64]

_PACE = Pace(speed=0.45, turn=2.0, swing=1.7, grip=0.066)
_ATTEMPTS = 3
# Height over the counter at which an open hand passes over all that stands there, m.
_CLEAR = 0.22
# How far above its grasp it lines up before the shelf, to pass over a glass on its way, m.
_OVER_SHELF = 0.04
# How far a hand stays closed that comes to the lid beside the other hand, 0 to 1.
_NARROW = 0.5
_STROKES, _STROKE = 3, 0.075
# How far to the hand's own side of the work spot it is shaken, and how high, m.
_ASIDE, _SHAKEN_AT = 0.10, 0.07
# How far the hand that holds the cup up turns inwards, rad, to stay clear of the other one, and
# how high it holds it, m.
_HOLDING, _HELD_AT = 0.65, 0.05
# A bottle on its way passes so far over the shaker, m, and with it over the taller glass.
_OVER_GLASS = 0.06
# How long it pours, and how far before the middle of the mouth, m, for the fingers' sake.
_POUR_SECONDS, _SHORT = 0.85, 0.010
# Where the glass changes hands, as a place of the layout, its base above the counter, to pass over
# the cup, and how far below its rim the taker holds it, m.
_MEET, _MEET_ABOVE, _BELOW_RIM = (0.60, -0.02), 0.125, 0.020


def cocktail(expert: Expert) -> Script:
    """Do what is still to be done, in order; what the world does not show is done again."""
    expert.pace = _PACE
    world, facts = expert.world, expert.world.scene.facts
    bar = _Cocktail(expert)
    yield from bar.begin()
    first, second = facts['order']
    if expert.flaws.wrong_item:
        first = next(name for name in facts['bottles'] if name not in facts['order'])
    # Only the expert's own steps put the lid on the cup or on the counter.
    mixed = closed(world) or world.body_position('lid')[2] < facts['counter'] + 0.05
    open_again = mixed and not closed(world)
    before_shaking = (
        bar.place_cup, partial(bar.pour_bottle, first), partial(bar.pour_bottle, second),
        bar.close)
    shaking = (bar.shake, bar.open)
    serving = (bar.fill_glass, bar.serve)
    yield from expert.steps(
        *(() if mixed else before_shaking), *(() if open_again else shaking), *serving)


class _Cocktail:
    """The steps; the giver is the hand on the glass's side, the taker that on the coaster's."""

    def __init__(self, expert: Expert) -> None:
        self.expert, self.world = expert, expert.world
        self.facts: dict[str, Any] = dict(expert.world.scene.facts)
        self.layout: Layout = self.facts['layout']
        self.taker, self.giver = self.layout.lead, self.layout.other
        self.cup, self.lid, self.glass = (self.facts[name] for name in ('cup', 'lid', 'glass'))
        self.things: tuple[Thing, ...] = (
            *self.facts['bottles'].values(), self.cup, self.lid, self.glass)
        self.turns = Turns(expert)

    def begin(self) -> Script:
        """Put down what is in a hand."""
        opening = any(closed_around(self.expert, side, self.cup) for side in (0, 1))

        def place(_: int, thing: Thing) -> Array:
            # A lid that was on its way to a cup that stands has not been on it yet.
            if thing is self.lid and not opening:
                home: Array = self.facts['homes']['lid']
                return home
            return self.place_of(thing.name)

        yield from free_hands(self.expert, self.things, place)

    def place_of(self, name: str) -> Array:
        """Return where a thing belongs: the cup on its spot, the lid where the cup was."""
        place: Array = (
            self.facts['work'] if name == 'cup'
            else self.facts['homes']['cup' if name == 'lid' else name])
        return place

    def pick(self, side: int, thing: Thing) -> Script:
        """Grasp something where it stands and lift it."""
        spot = grasp_point(self.expert, thing)
        if spot[0] < SHELF_X[0]:
            yield from pick_from_above(
                self.expert, side, thing, clear=self.layout.top + _CLEAR, lift=LIFT,
                narrow=_NARROW if thing is self.lid else 0.0)
            return
        rotation = reach(spot, side)
        yield from pick_from_front(
            self.expert, side, thing, rotation, over=spot[2] + _OVER_SHELF, speed=0.3)
        yield from self.expert.move(side, spot + LIFT * UP, rotation, speed=0.2, exact=False)

    def get(self, side: int, thing: Thing) -> Script:
        """Pick until it is held, while the other hand ends what it was at."""
        for _ in range(_ATTEMPTS):
            yield from self.turns.take(side, self.pick(side, thing))
            if holds(self.expert, side, thing):
                return
            yield from let_go_upwards(self.expert, side)
            self.turns.stay(side)

    def put(
        self, side: int, thing: Thing, spot: Array, *, over: float = LIFT,
        within: float | None = None,
    ) -> Script:
        """Set down what a hand holds; the hand stays there until it is the other one's turn."""
        yield from put(self.expert, side, thing, spot, over=over, within=within, swing=True)
        self.turns.stay(side)

    def place_cup(self) -> Script:
        """Leave it to the taker's hand, which may do it while the other one picks."""
        self.turns.leave(self.taker, self.bring_cup())
        yield from ()

    def bring_cup(self) -> Script:
        spot = self.place_of('cup')
        for _ in range(_ATTEMPTS):
            if near(self.world, 'cup', spot[:2]) and stands(self.world, 'cup', spot[2]):
                return
            yield from self.pick(self.taker, self.cup)
            if holds(self.expert, self.taker, self.cup):
                yield from self.put(self.taker, self.cup, spot)
            else:
                yield from let_go_upwards(self.expert, self.taker)

    def pour_bottle(self, name: str) -> Script:
        bottle, home = self.facts['bottles'][name], self.place_of(name)
        side = side_of(home[1])
        yield from self.get(side, bottle)
        if holds(self.expert, side, bottle):
            yield from pour(self.expert, side, bottle, mouth(self.world, self.cup), short=_SHORT,
                            over=_OVER_GLASS, seconds=_POUR_SECONDS, swing=True)
            self.turns.leave(side, self.put(side, bottle, home))

    def close(self) -> Script:
        for _ in range(_ATTEMPTS):
            if closed(self.world):
                return
            yield from self.get(self.taker, self.lid)
            if holds(self.expert, self.taker, self.lid):
                seat = self.lid.seat(mouth(self.world, self.cup))
                yield from self.put(self.taker, self.lid, seat, within=0.0012)

    def shake(self) -> Script:
        """Shake, then hold the cup up for the other hand to open it."""
        expert, side = self.expert, self.giver
        yield from self.get(side, self.cup)
        if not holds(expert, side, self.cup):
            return
        spot = self.place_of('cup')
        aside = spot + np.array([0.0, -self.layout.sign * _ASIDE, _SHAKEN_AT])
        yield from carry(expert, side, self.cup, aside)
        low, rotation = expert.hand(side)
        for _ in range(_STROKES):
            for height in (_STROKE, 0.0):
                yield from expert.move(side, low + height * UP, rotation, speed=0.28, exact=False)
        yield from carry(expert, side, self.cup, spot + _HELD_AT * UP,
                         yaw=self.layout.sign * _HOLDING)

    def open(self) -> Script:
        home = self.place_of('lid')
        for _ in range(_ATTEMPTS):
            if not closed(self.world) and near(self.world, 'lid', home[:2]):
                return
            yield from self.get(self.taker, self.lid)
            if holds(self.expert, self.taker, self.lid):
                yield from self.put(self.taker, self.lid, home)

    def fill_glass(self) -> Script:
        expert, side = self.expert, self.giver
        if not holds(expert, side, self.cup):
            yield from self.get(side, self.cup)
        if holds(expert, side, self.cup):
            rim = mouth(self.world, self.glass)
            yield from self.turns.take(side, pour(
                expert, side, self.cup, rim, outwards=True, short=_SHORT, seconds=_POUR_SECONDS))
            yield from self.put(side, self.cup, self.place_of('cup'))

    def serve(self) -> Script:
        """Hand the glass over; if it stands on the taker's side by now, only put it right."""
        expert, glass = self.expert, self.glass
        high = glass.height - _BELOW_RIM
        for _ in range(_ATTEMPTS):
            if near(self.world, 'glass', self.facts['coaster'][:2]):
                return
            if self.layout.sign * self.world.body_position('glass')[1] < 0.0:
                yield from self.get(self.giver, glass)
                if not holds(expert, self.giver, glass):
                    return
                meet = self.layout.spot(*_MEET, above=_MEET_ABOVE)
                yield from hand_over(expert, self.giver, glass, meet, high=high, away=False)
                self.turns.stay(self.giver)
            else:
                yield from self.get(self.taker, glass)
            yield from together(
                self.turns.end(self.giver),
                self.put(self.taker, glass, self.facts['coaster'], over=_MEET_ABOVE))
