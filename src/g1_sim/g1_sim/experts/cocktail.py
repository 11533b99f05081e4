# SPDX-License-Identifier: Apache-2.0
"""The expert for cocktail: each hand works what stands on its side; try again what slips."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from g1_sim.experts.skills import Expert, Script, facing, rotated, together
from g1_sim.postures import inward
from g1_sim.tasks.cocktail import closed, near, stands

Array = NDArray[np.float64]

_DOWN = 0.27
_UP = np.array([0.0, 0.0, 1.0])
# How far in front of a thing a hand lines up, m.
_BEFORE = 0.11
# How far it backs off the shelf, past what stands beside, m.
_OFF_SHELF = 0.16
_ATTEMPTS = 3
# The most that a hand turns inwards, rad; the height from which on it must turn more, m, for
# the elbow to bend no further than it can; and how much more, rad/m.
_MOST_INWARD, _TURNING_HEIGHT, _TURN = 1.40, 0.74, 3.0
# Height over the counter at which an empty hand passes over what stands there, m.
_PASS = 0.20
# The same where it comes down on something, m.
_OVER = 0.22
# How far something is lifted before it is carried, m.
_LIFT = 0.045
# Peak speed of a joint in a big motion, rad/s.
_SWING = 1.7
# Change of a gripper's closure in a control step, below the filter's 4/s.
_GRIP = 0.12
_POUR_TILT, _POUR_STEPS = 1.30, 26
# Height of a mouth over the rim that it pours into, m.
_OVER_RIM = 0.045
# How far before the middle of a vessel a mouth is held, m.
_SHORT = 0.010
_STROKES, _STROKE = 3, 0.075
# How far to the hand's own side of the work spot it is shaken, m.
_ASIDE = 0.10
# Where a glass changes hands: x in m, its base above the counter, m, how far up the taker holds.
_MEET_X, _MEET_HEIGHT, _TAKER_ABOVE = 0.65, 0.130, 0.089


def cocktail(expert: Expert) -> Script:
    """Do what is still to be done, in order; what the world does not show is done again."""
    world, facts = expert.world, expert.world.scene.facts
    bar = _Bar(expert)
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


class _Bar:
    """The skills of this task, on the scene of one expert."""

    def __init__(self, expert: Expert) -> None:
        self.expert, self.world = expert, expert.world
        self.facts: dict[str, Any] = dict(expert.world.scene.facts)
        self.giver: int = self.facts['giver']
        self.taker = 1 - self.giver
        self.away: set[int] = set()
        """Hands that stand where they have let go."""
        self.later: dict[int, Script] = {}
        """What a hand still has to do, which can be done while the other one picks."""

    # Steps.

    def place_cup(self) -> Script:
        """Leave it to the taker's hand, which may do it while the other one picks."""
        self.later[self.taker] = self.bring_cup()
        yield from ()

    def bring_cup(self) -> Script:
        spot = self.place_of('cup')
        for _ in range(_ATTEMPTS):
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
        for _ in range(_ATTEMPTS):
            if closed(self.world):
                return
            yield from self.pick(self.taker, 'lid')
            if self.held(self.taker, 'lid'):
                seat = self.world.body_position('cup') + _UP * (
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
                yield from expert.move(side, low + height * _UP, rotation, speed=0.24,
                                       exact=False)
        yield from self.carry(side, 'cup', self.place_of('cup') + _LIFT * _UP)

    def open(self) -> Script:
        home = self.place_of('lid')
        for _ in range(_ATTEMPTS):
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
        for _ in range(_ATTEMPTS):
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
        above = (self.grasp_height('glass') + _TAKER_ABOVE) * _UP
        yield from together(
            self.carry(giver, 'glass', meet), self.line_up(taker, meet + above))
        yield from self.close_in(taker, self.world.body_position('glass') + above)
        yield from expert.grip(taker, 1.0, rate=_GRIP)
        yield from expert.grip(giver, 0.0, rate=_GRIP)
        yield from self.back(giver, rise=False)
        self.away.add(giver)

    # Parts of steps.

    def thing(self, name: str) -> Any:
        """Return the item, vessel or lid of a body."""
        return self.facts['bottles'].get(name) or self.facts[name]

    def grasp_height(self, name: str) -> float:
        return float(self.thing(name).grasp_height)

    def facing(self, side: int, spot: Array) -> Array:
        """Return the orientation, (3, 3), at which a hand holds something at a spot well."""
        sign = 1.0 if side == 0 else -1.0
        if spot[0] > 0.80:
            yaw = 0.70 - 1.2 * sign * spot[1] + 0.8 * (self.facts['board'] - 0.86)
        else:
            at = max(sign * spot[1], 0.0)
            yaw = -sign * inward(spot[0], sign * at, side) + _TURN * (spot[2] - _TURNING_HEIGHT)
        return facing(-sign * min(yaw, _MOST_INWARD), _DOWN)

    def reach(self, side: int, grasp: Array) -> Script:
        """Bring an open hand around something at a spot, from above and behind."""
        yield from self.line_up(side, grasp)
        yield from self.close_in(side, grasp)

    def line_up(self, side: int, grasp: Array) -> Script:
        yield from self.open_hand(side)
        rotation = self.facing(side, grasp)
        above = grasp - _BEFORE * rotation[:, 2]
        if above[2] < self.facts['counter'] + _OVER:
            above[2] = self.facts['counter'] + _OVER
            rotation = self.facing(side, above)
        yield from self.expert.swing(side, above, rotation, speed=_SWING)

    def close_in(self, side: int, grasp: Array) -> Script:
        rotation = self.facing(side, grasp)
        before = grasp - _BEFORE * rotation[:, 2]
        yield from self.expert.move(side, before, rotation, speed=0.22, exact=False)
        yield from self.expert.move(
            side, self.expert.grasp_at(grasp, rotation), rotation, speed=0.3)

    def pick(self, side: int, name: str) -> Script:
        """Grasp something where it stands and lift it; the other hand ends what it was at."""
        if side in self.later:
            yield from self.later.pop(side)
        other = self.later.pop(1 - side) if 1 - side in self.later else self.withdraw(1 - side)
        yield from together(self.take(side, name), other)

    def get(self, side: int, name: str) -> Script:
        """Pick until it is held."""
        for _ in range(_ATTEMPTS):
            yield from self.pick(side, name)
            if self.held(side, name):
                return
            yield from self.leave(side)

    def put_back(self, side: int, name: str) -> Script:
        yield from self.put(side, name, self.place_of(name))
        yield from self.leave(side)

    def take(self, side: int, name: str) -> Script:
        expert = self.expert
        self.away.discard(side)
        base = self.world.body_position(name)
        yield from self.reach(side, base + self.grasp_height(name) * _UP)
        yield from expert.grip(side, 1.0, rate=_GRIP)
        hand, rotation = expert.hand(side)
        yield from expert.move(side, hand + _LIFT * _UP, rotation, speed=0.15, exact=False)

    def held(self, side: int, name: str) -> bool:
        hand, _ = self.expert.hand(side)
        turned = self.world.body_rotation(name)
        grasp = self.world.body_position(name) + self.grasp_height(name) * turned[:, 2]
        return float(np.linalg.norm(hand - grasp)) < 0.03

    def in_hand(self, side: int, name: str, height: float) -> Array:
        """Return a point of a thing's axis, above its base, in a hand's frame, (3,) m."""
        hand, rotation = self.expert.hand(side)
        axis = self.world.body_rotation(name)[:, 2]
        point: Array = rotation.T @ (self.world.body_position(name) + height * axis - hand)
        return point

    def carry(self, side: int, name: str, spot: Array) -> Script:
        """Bring what a hand holds, upright, with its base to a spot in the air."""
        rotation = self.facing(side, spot + self.grasp_height(name) * _UP)
        goal = spot - rotation @ self.in_hand(side, name, 0.0)
        yield from self.expert.swing(side, goal, rotation, speed=_SWING)
        yield from self.expert.move(side, goal, rotation)

    def put(
        self, side: int, name: str, spot: Array, *, within: float = 0.005,
        lift: float = _LIFT,
    ) -> Script:
        """Set down what a hand holds with its base on a spot, and let go."""
        expert = self.expert
        spot = expert.place_at(spot)
        height = float(expert.hand(side)[0][2] - self.world.body_position(name)[2])
        rotation = self.facing(side, spot + (height + 0.5 * lift) * _UP)
        goal = spot - rotation @ self.in_hand(side, name, 0.0)
        above = goal + lift * _UP
        if spot[0] > 0.80:
            # In over the board from its front, clear of its edge.
            before = above - _BEFORE * rotation[:, 2]
            yield from expert.swing(side, before, rotation, speed=_SWING)
            yield from expert.move(side, above, rotation, speed=0.35, exact=False)
        else:
            yield from expert.swing(side, above, rotation, speed=_SWING)
        yield from expert.wait(4)
        yield from expert.adjust(
            side, rotation, lambda: spot + lift * _UP - self.world.body_position(name),
            within=within)
        hand = expert.hand(side)[0]
        yield from expert.move(side, hand + (0.002 - lift) * _UP, rotation,
                               speed=0.66 * float(np.sqrt(lift)))
        yield from expert.grip(side, 0.0, rate=_GRIP)

    def pour(self, side: int, name: str, into: str) -> Script:
        """Roll what a hand holds over, with its mouth over a vessel, and back upright."""
        expert, target = self.expert, self.thing(into)
        rim = self.world.body_position(into) + target.height * _UP
        # Bottles come from beyond the shaker and tilt towards the robot, the cup tilts away.
        beyond = name != 'cup'
        sign = (1.0 if side == 0 else -1.0) * (1.0 if beyond else -1.0)
        at = np.array([0.06, 0.0, 0.0] if beyond else [-0.04, 0.0, 0.05])
        upright = self.facing(side, rim + at)
        tilted = rotated(upright, sign * _POUR_TILT * upright[:, 2])
        mouth = self.in_hand(side, name, self.thing(name).height)
        reach = tilted @ mouth
        # Short of the middle, so that the fingers stay clear of the vessel.
        short = _SHORT * reach / np.linalg.norm(reach[:2])
        goal = rim + _OVER_RIM * _UP - [short[0], short[1], 0.0] - reach
        # High enough for the base of what is still upright to pass over the rim.
        high = np.array([*goal[:2], rim[2] + 0.02 + self.grasp_height(name)])
        yield from expert.swing(side, high, upright, speed=_SWING)
        yield from expert.move(side, goal, tilted)
        yield from expert.wait(_POUR_STEPS)
        if not beyond:
            # The way back leads down: begin it away from the glass.
            high -= 5.0 * np.array([short[0], short[1], 0.0])
        yield from expert.move(side, high, upright, exact=False)

    def back(self, side: int, *, rise: bool = True) -> Script:
        here, rotation = self.expert.hand(side)
        goal = here - (_OFF_SHELF if here[0] > 0.80 else _BEFORE) * rotation[:, 2]
        if rise:
            goal[2] = max(goal[2], self.facts['counter'] + _PASS)
        yield from self.expert.move(side, goal, rotation, speed=0.35, exact=False)

    def open_hand(self, side: int) -> Script:
        if self.expert.command[7 + 8 * side] > 0.0:
            yield from self.expert.grip(side, 0.0, rate=_GRIP)

    def leave(self, side: int) -> Script:
        """Open a hand and back off; it returns to its rest posture when the other one picks."""
        yield from self.open_hand(side)
        yield from self.back(side)
        self.away.add(side)

    def withdraw(self, side: int) -> Script:
        if side in self.away:
            self.away.discard(side)
            yield from self.expert.rest(side, speed=_SWING)

    def free_hands(self) -> Script:
        """Put back what is in a hand, and bring the hands out of the way."""
        yield from together(*(self.free(side) for side in (0, 1)))

    def free(self, side: int) -> Script:
        at = 7 + 8 * side
        rest = self.expert.posture[8 * side:8 * side + 7]
        now = self.expert.command[8 * side:8 * side + 7]
        if self.expert.command[at] < 0.02 and np.max(np.abs(now - rest)) < 0.1:
            return
        for name in self.world.bodies:
            if self.held(side, name):
                yield from self.put(side, name, self.place_of(name))
        yield from self.leave(side)

    def place_of(self, name: str) -> Array:
        """Return where a thing belongs that is done with, (3,) m."""
        if name == 'cup':
            return np.array([*self.facts['work'], self.facts['counter']])
        home: Array = self.facts['homes']['cup' if name == 'lid' else name]
        return home
