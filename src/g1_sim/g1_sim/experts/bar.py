# SPDX-License-Identifier: Apache-2.0
"""How hands pick, carry, pour and put down upright things on a counter and on a shelf behind it.

A scene of such a task has in its facts: counter, board (levels, m), bottles (items by name),
homes (where each thing belongs, (3,) m), and each other thing under the name of its body.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from g1_description.kinematics import rotated
from g1_sim.experts.skills import Expert, Script, facing, together
from g1_sim.postures import inward

Array = NDArray[np.float64]

UP = np.array([0.0, 0.0, 1.0])
ATTEMPTS = 3
LIFT = 0.045
"""How far something is lifted before it is carried, m."""
GRIP_RATE = 0.12
"""Change of a gripper's closure in a control step, below the filter's 4/s."""

_DOWN = 0.27
# Nearer to the robot than this is the counter, beyond it the shelf, m.
_COUNTER_END = 0.80
# How far in front of a thing a hand lines up, m.
_BEFORE = 0.11
# How far it backs off the shelf, past what stands beside, m.
_OFF_SHELF = 0.16
# The most that a hand turns inwards, rad; the height from which on it must turn more, m, for
# the elbow to bend no further than it can; and how much more, rad/m.
_MOST_INWARD, _TURNING_HEIGHT, _TURN = 1.40, 0.74, 3.0
# Height over the counter at which an empty hand passes over what stands there, m.
_PASS = 0.20
# The same where it comes down on something, m.
_OVER = 0.22
# Peak speed of a joint in a big motion, rad/s.
_SWING = 1.7
_POUR_TILT, _POUR_STEPS = 1.30, 26
# Height of a mouth over the rim that it pours into, m.
_OVER_RIM = 0.045
# How far before the middle of a vessel a mouth is held, m.
_SHORT = 0.010
# Closure from which on a hand may be holding something.
_CLOSED = 0.3


class Bar:
    """Skills for upright things, on the scene of one expert."""

    def __init__(self, expert: Expert) -> None:
        self.expert, self.world = expert, expert.world
        self.facts: dict[str, Any] = dict(expert.world.scene.facts)
        self.away: set[int] = set()
        """Hands that stand where they have let go."""
        self.later: dict[int, Script] = {}
        """What a hand still has to do, which can be done while the other one picks."""

    def thing(self, name: str) -> Any:
        """Return the item, vessel or lid of a body."""
        return self.facts['bottles'].get(name) or self.facts[name]

    def grasp_height(self, name: str) -> float:
        """Return where a hand holds a thing, m above its base."""
        return float(self.thing(name).grasp_height)

    def facing(self, side: int, spot: Array) -> Array:
        """Return the orientation, (3, 3), at which a hand holds something at a spot well."""
        sign = 1.0 if side == 0 else -1.0
        if spot[0] > _COUNTER_END:
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
        """Bring an open hand in front of a spot, above what stands around."""
        yield from self.open_hand(side)
        rotation = self.facing(side, grasp)
        above = grasp - _BEFORE * rotation[:, 2]
        if above[2] < self.facts['counter'] + _OVER:
            above[2] = self.facts['counter'] + _OVER
            rotation = self.facing(side, above)
        yield from self.expert.swing(side, above, rotation, speed=_SWING)

    def close_in(self, side: int, grasp: Array) -> Script:
        """Bring it around what is there."""
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
        for _ in range(ATTEMPTS):
            yield from self.pick(side, name)
            if self.held(side, name):
                return
            yield from self.leave(side)

    def put_back(self, side: int, name: str) -> Script:
        """Put down what a hand holds where it belongs."""
        yield from self.put(side, name, self.place_of(name))
        yield from self.leave(side)

    def take(self, side: int, name: str) -> Script:
        """Grasp something where it stands and lift it a little."""
        expert = self.expert
        self.away.discard(side)
        base = self.world.body_position(name)
        yield from self.reach(side, base + self.grasp_height(name) * UP)
        yield from expert.grip(side, 1.0, rate=GRIP_RATE)
        hand, rotation = expert.hand(side)
        yield from expert.move(side, hand + LIFT * UP, rotation, speed=0.15, exact=False)

    def held(self, side: int, name: str) -> bool:
        """Whether a hand is where it holds a thing."""
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
        rotation = self.facing(side, spot + self.grasp_height(name) * UP)
        goal = spot - rotation @ self.in_hand(side, name, 0.0)
        yield from self.expert.swing(side, goal, rotation, speed=_SWING)
        yield from self.expert.move(side, goal, rotation)

    def put(
        self, side: int, name: str, spot: Array, *, within: float = 0.005,
        lift: float = LIFT,
    ) -> Script:
        """Set down what a hand holds with its base on a spot, and let go."""
        expert = self.expert
        spot = expert.place_at(spot)
        height = float(expert.hand(side)[0][2] - self.world.body_position(name)[2])
        rotation = self.facing(side, spot + (height + 0.5 * lift) * UP)
        goal = spot - rotation @ self.in_hand(side, name, 0.0)
        above = goal + lift * UP
        if spot[0] > _COUNTER_END:
            # In over the board from its front, clear of its edge.
            before = above - _BEFORE * rotation[:, 2]
            yield from expert.swing(side, before, rotation, speed=_SWING)
            yield from expert.move(side, above, rotation, speed=0.35, exact=False)
        else:
            yield from expert.swing(side, above, rotation, speed=_SWING)
        yield from expert.wait(4)
        yield from expert.adjust(
            side, rotation, lambda: spot + lift * UP - self.world.body_position(name),
            within=within)
        hand = expert.hand(side)[0]
        yield from expert.move(side, hand + (0.002 - lift) * UP, rotation,
                               speed=0.66 * float(np.sqrt(lift)))
        yield from expert.grip(side, 0.0, rate=GRIP_RATE)

    def pour(self, side: int, name: str, into: str) -> Script:
        """Roll what a hand holds over, with its mouth over a vessel, and back upright."""
        expert, target = self.expert, self.thing(into)
        rim = self.world.body_position(into) + target.height * UP
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
        goal = rim + _OVER_RIM * UP - [short[0], short[1], 0.0] - reach
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
        """Back off along the reach, and up unless another hand is above."""
        here, rotation = self.expert.hand(side)
        goal = here - (_OFF_SHELF if here[0] > _COUNTER_END else _BEFORE) * rotation[:, 2]
        if rise:
            goal[2] = max(goal[2], self.facts['counter'] + _PASS)
        yield from self.expert.move(side, goal, rotation, speed=0.35, exact=False)

    def open_hand(self, side: int) -> Script:
        """Open a hand if it is not open."""
        if self.expert.command[7 + 8 * side] > 0.0:
            yield from self.expert.grip(side, 0.0, rate=GRIP_RATE)

    def leave(self, side: int) -> Script:
        """Open a hand and back off; it returns to its rest posture when the other one picks."""
        yield from self.open_hand(side)
        yield from self.back(side)
        self.away.add(side)

    def withdraw(self, side: int) -> Script:
        """Bring a hand that has let go back to its rest posture."""
        if side in self.away:
            self.away.discard(side)
            yield from self.expert.rest(side, speed=_SWING)

    def free_hands(self) -> Script:
        """Put back what is in a hand, and bring the hands out of the way, one by one."""
        both = [name for name in self.world.bodies if self.holds(0, name) and self.holds(1, name)]
        if both:
            yield from self.open_hand(0)
            yield from self.back(0, rise=False)
        for side in (0, 1):
            yield from self.free(side)

    def free(self, side: int) -> Script:
        """Put back what a hand holds and bring it to rest."""
        rest = self.expert.posture[8 * side:8 * side + 7]
        now = self.expert.command[8 * side:8 * side + 7]
        if self.expert.command[7 + 8 * side] < 0.02 and np.max(np.abs(now - rest)) < 0.1:
            return
        for name in self.world.bodies:
            if self.holds(side, name):
                # It may have been about to close, low over what stands there.
                yield from self.expert.grip(side, 1.0, rate=GRIP_RATE)
                hand, rotation = self.expert.hand(side)
                yield from self.expert.move(side, hand + LIFT * UP, rotation, speed=0.15)
                yield from self.put(side, name, self.place_of(name))
                break
        yield from self.leave(side)
        yield from self.withdraw(side)

    def holds(self, side: int, name: str) -> bool:
        """Whether a closed hand is around a thing, wherever along it."""
        hand, _ = self.expert.hand(side)
        turned = self.world.body_rotation(name)[:, 2]
        apart = hand - self.world.body_position(name)
        along = float(np.clip(apart @ turned, 0.0, self.thing(name).height))
        return bool(self.expert.command[7 + 8 * side] > _CLOSED
                    and np.linalg.norm(apart - along * turned) < 0.02)

    def place_of(self, name: str) -> Array:
        """Return where a thing belongs when it is done with, (3,) m."""
        home: Array = self.facts['homes'][name]
        return home
