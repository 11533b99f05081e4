# SPDX-License-Identifier: Apache-2.0
"""The expert for cocktail: each hand works what stands on its side; try again what slips."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from g1_sim.experts.bar import ATTEMPTS, GRIP_RATE, LIFT, UP, Bar
from g1_sim.experts.skills import Expert, Script, together
from g1_sim.tasks.cocktail_judge import closed, near, stands

Array = NDArray[np.float64]

_STROKES, _STROKE = 3, 0.075
# How far to the hand's own side of the work spot it is shaken, m.
_ASIDE = 0.10
# Where a glass changes hands: x in m, its base above the counter, m, how far up the taker holds.
_MEET_X, _MEET_HEIGHT, _TAKER_ABOVE = 0.65, 0.130, 0.089


def cocktail(expert: Expert) -> Script:
    """Do what is still to be done, in order; what the world does not show is done again."""
    world, facts = expert.world, expert.world.scene.facts
    bar = _Cocktail(expert)
    yield from bar.free_hands()
    first, second = facts['order']
    if expert.flaws.wrong_item:
        first = next(name for name in facts['bottles'] if name not in facts['order'])
    # Only the bar's own steps put the lid on the cup or on the counter.
    mixed = closed(world) or world.body_position('lid')[2] < facts['counter'] + 0.05
    open_again = mixed and not closed(world)
    before_shaking = (
        bar.place_cup, partial(bar.pour_bottle, first), partial(bar.pour_bottle, second),
        bar.close)
    shaking = (bar.shake, bar.open)
    serving = (bar.fill_glass, bar.serve)
    yield from expert.steps(
        *(() if mixed else before_shaking), *(() if open_again else shaking), *serving)


class _Cocktail(Bar):
    """The steps; the giver is the hand on the glass's side, the taker that on the coaster's."""

    def __init__(self, expert: Expert) -> None:
        super().__init__(expert)
        self.giver: int = self.facts['giver']
        self.taker = 1 - self.giver

    def place_of(self, name: str) -> Array:
        """Return where a thing belongs: the cup on its spot, the lid where the cup was."""
        if name == 'cup':
            return np.array([*self.facts['work'], self.facts['counter']])
        return super().place_of('cup' if name == 'lid' else name)

    def place_cup(self) -> Script:
        """Leave it to the taker's hand, which may do it while the other one picks."""
        self.later[self.taker] = self.bring_cup()
        yield from ()

    def bring_cup(self) -> Script:
        spot = self.place_of('cup')
        for _ in range(ATTEMPTS):
            if near(self.world, 'cup', spot[:2]) and stands(self.world, 'cup', spot[2]):
                return
            yield from self.pick(self.taker, 'cup')
            if self.held(self.taker, 'cup'):
                yield from self.put(self.taker, 'cup', spot)
            yield from self.leave(self.taker)

    def pour_bottle(self, name: str) -> Script:
        home = self.place_of(name)
        side = 0 if home[1] > 0.0 else 1
        yield from self.get(side, name)
        if self.held(side, name):
            yield from self.pour(side, name, 'cup')
            self.later[side] = self.put_back(side, name)

    def close(self) -> Script:
        for _ in range(ATTEMPTS):
            if closed(self.world):
                return
            yield from self.pick(self.taker, 'lid')
            if self.held(self.taker, 'lid'):
                seat = self.world.body_position('cup') + UP * (
                    self.facts['cup'].height - self.facts['lid'].depth)
                yield from self.put(self.taker, 'lid', seat, within=0.0012)
            yield from self.leave(self.taker)

    def shake(self) -> Script:
        """Shake, then hold the cup up for the other hand to open it."""
        expert, side = self.expert, self.giver
        yield from self.get(side, 'cup')
        if not self.held(side, 'cup'):
            return
        aside = _ASIDE if side == 0 else -_ASIDE
        yield from self.carry(side, 'cup', self.place_of('cup') + np.array([0.0, aside, 0.07]))
        low, rotation = expert.hand(side)
        for _ in range(_STROKES):
            for height in (_STROKE, 0.0):
                yield from expert.move(side, low + height * UP, rotation, speed=0.24,
                                       exact=False)
        yield from self.carry(side, 'cup', self.place_of('cup') + LIFT * UP)

    def open(self) -> Script:
        home = self.place_of('lid')
        for _ in range(ATTEMPTS):
            if not closed(self.world) and near(self.world, 'lid', home[:2]):
                return
            yield from self.pick(self.taker, 'lid')
            if self.held(self.taker, 'lid'):
                yield from self.put(self.taker, 'lid', home)
            yield from self.leave(self.taker)

    def fill_glass(self) -> Script:
        if not self.held(self.giver, 'cup'):
            yield from self.get(self.giver, 'cup')
        if self.held(self.giver, 'cup'):
            yield from together(self.pour(self.giver, 'cup', 'glass'), self.withdraw(self.taker))
            yield from self.put_back(self.giver, 'cup')

    def serve(self) -> Script:
        """Hand the glass over; if it stands on the taker's side by now, only put it right."""
        coaster = np.array([*self.facts['coaster'], self.facts['counter']])
        for _ in range(ATTEMPTS):
            if near(self.world, 'glass', coaster[:2]):
                return
            if (self.world.body_position('glass')[1] > 0.0) == (self.giver == 0):
                yield from self.get(self.giver, 'glass')
                if not self.held(self.giver, 'glass'):
                    return
                yield from self.hand_over()
            else:
                yield from self.get(self.taker, 'glass')
            yield from together(
                self.withdraw(self.giver), self.put(self.taker, 'glass', coaster, lift=0.11))
            yield from self.leave(self.taker)

    def hand_over(self) -> Script:
        expert, giver, taker = self.expert, self.giver, self.taker
        meet = np.array([_MEET_X, 0.0, self.facts['counter'] + _MEET_HEIGHT])
        above = (self.grasp_height('glass') + _TAKER_ABOVE) * UP
        yield from together(
            self.carry(giver, 'glass', meet), self.line_up(taker, meet + above))
        yield from self.close_in(taker, self.world.body_position('glass') + above)
        yield from expert.grip(taker, 1.0, rate=GRIP_RATE)
        yield from expert.grip(giver, 0.0, rate=GRIP_RATE)
        yield from self.back(giver, rise=False)
        self.away.add(giver)
