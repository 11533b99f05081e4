# SPDX-License-Identifier: Apache-2.0
"""A scripted human who watches a policy, takes over when it goes wrong, and hands back."""

from __future__ import annotations

import enum
import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from g1_description.joints import GRIPPER_INDICES
from g1_sim.errors import SceneError
from g1_sim.experts import Expert, expert_for
from g1_sim.experts.flaws import Flaws
from g1_sim.foresight import Foresight
from g1_sim.tasks.base import Verdict
from g1_sim.world import World

Array = NDArray[np.float64]

RATE = 30
_CLOSED = 0.5
"""Position of a gripper, 0 open to 1 shut, from which on it counts as closed."""
_CARRIED, _MOVED = 0.03, 0.02
"""How far a body has come, m, and a hinge or slide, rad or m, when the robot did something."""
_NEAR = 0.15
"""Between a hand and the middle of an item that it may be meant to grasp, m."""
_FALL, _FALLING = 0.06, 0.8
"""How far something sinks that was dropped, m, and how fast, m/s."""
_MEANT = 0.5
"""What begins to fall so soon after the score has risen was let fall on purpose, s."""


class Reason(enum.IntEnum):
    """Why the operator took over; the values of lwd_msgs/Intervention.REASON_*."""

    NONE = 0
    OPERATOR = 1
    STUCK = 2
    DROPPED = 3
    WRONG_OBJECT = 4
    UNSAFE = 5


@dataclass(frozen=True)
class OperatorConfig:
    """How the operator watches and acts."""

    reaction: float = 0.3
    """From seeing that something is wrong to taking over, s."""
    patience: float = 3.0
    """How long nothing may come of it before the policy counts as stuck, s, if it stands still;
    while it moves, twice as long."""
    empty: float = 0.5
    """How long a hand may be closed on nothing before its grasp counts as missed, s."""
    budget: float = 0.7
    """Largest share of an episode's time limit that the operator spends in control."""
    longest: float = 20.0
    """Longest single intervention, s."""
    flaws: Flaws = field(default_factory=Flaws)
    """What the operator does wrong; a clean script by default."""

    def __post_init__(self) -> None:
        for name in ('reaction', 'patience', 'empty', 'longest'):
            if getattr(self, name) < 0.0:
                raise SceneError(f'operator.{name} is {getattr(self, name)} s; it must not be '
                                 'negative')
        if not 0.0 <= self.budget <= 1.0:
            raise SceneError(f'operator.budget is {self.budget}; it is a share, 0 to 1')


class Operator:
    """Call `watch` once a control step; while it returns a command, that one counts.

    The operator takes over when the policy is about to run a finger into something (Foresight), is
    stuck (for `patience` the score has not risen, and nothing is carried or opened), has dropped
    something (a body falls), has closed a hand on nothing, or moves what the task does not ask
    for; after `reaction` seconds the task's script begins from wherever the robot is. Hand-back
    comes when the score has risen, unless that was the last of it: then the script brings the
    hands away first. It also comes when the script has ended or the budget is spent.
    """

    def __init__(self, world: World, config: OperatorConfig | None = None) -> None:
        """Watch an episode from its start."""
        self.config = config or OperatorConfig()
        self._world = world
        self._expert: Expert | None = None
        self._limit = self.config.budget * _time_limit(world)
        self._spent = 0.0
        self._since = 0.0
        self._score = 0.0
        self._best = 0.0
        self._noticed: tuple[float, Reason] | None = None
        self._progress_at = self._risen_at = 0.0
        self._foresight = Foresight(world)
        self._hands: deque[Array] = deque(maxlen=RATE)
        self._closed: list[float | None] = [None, None]
        self._hinges = world.hinges()
        self._heights = self._body_heights()
        self._falling: dict[str, float] = {}
        self._fallen: set[str] = set()
        self.reason = Reason.NONE
        self.interventions = 0

    @property
    def active(self) -> bool:
        """Whether the operator is in control."""
        return self._expert is not None

    def watch(self, verdict: Verdict) -> Array | None:
        """Look at the world after a control step.

        Args:
            verdict: What the judge says of it: the operator sees whether subtasks get done.

        Returns:
            A command, (16,), while the operator is in control, else None.
        """
        now = self._world.time
        if verdict.score > self._best:
            self._best, self._progress_at, self._risen_at = verdict.score, now, now
            self._fallen.clear()
        elif self._gets_somewhere():
            self._progress_at = now
        if self._expert is not None:
            return self._control(verdict, now)
        reason = self._trouble(now)
        if reason is Reason.NONE:
            self._noticed = None
            return None
        if self._noticed is None:
            self._noticed = (now, reason)
        if now - self._noticed[0] < self.config.reaction or self._spent >= self._limit:
            return None
        self.reason = self._noticed[1]
        self._expert = expert_for(self._world, self.config.flaws)
        self._since, self._score = now, verdict.score
        self.interventions += 1
        return self._expert.act()

    def _control(self, verdict: Verdict, now: float) -> Array | None:
        assert self._expert is not None  # noqa: S101  the caller has looked
        self._spent += 1.0 / RATE
        over = (
            self._score < verdict.score < 1.0 or self._expert.finished
            or now - self._since > self.config.longest or self._spent >= self._limit)
        if over:
            self._expert, self._noticed, self.reason = None, None, Reason.NONE
            self._progress_at = now
            self._hands.clear()
            self._foresight.forget()
            self._closed = [None, None]
            self._heights = self._body_heights()
            self._falling.clear()
            self._fallen.clear()
            return None
        return self._expert.act()

    def _trouble(self, now: float) -> Reason:
        self._hands.append(self._world.positions()[:16])
        foreseen = self._foresight.looks_bad()
        fell = [name for name in self._world.bodies if self._fell(name, now)]
        if fell:
            return Reason.DROPPED
        if self._wrong_thing():
            return Reason.WRONG_OBJECT
        if foreseen:
            return Reason.UNSAFE
        if self._missed(now):
            return Reason.STUCK
        still = len(self._hands) == self._hands.maxlen and float(
            np.max(np.abs(self._hands[-1] - self._hands[0]))) < 0.05
        if now - self._progress_at > (self.config.patience if still else 2 * self.config.patience):
            return Reason.STUCK
        return Reason.NONE

    def _fell(self, name: str, now: float) -> bool:
        """Whether a body fell and lies there; not what is lowered, or let fall into its place."""
        height = float(self._world.body_position(name)[2])
        if self._world.touched_by_robot(name):
            self._heights[name] = height
            self._falling.pop(name, None)
            self._fallen.discard(name)
        elif self._heights[name] - height > _FALL and self._world.body_speed(name) > _FALLING:
            self._falling.setdefault(name, now)
        elif name in self._falling and self._world.resting(name):
            # Only now it is known what became of it: fruit is meant to fall into a press.
            self._heights[name] = height
            if self._falling.pop(name) > self._risen_at + _MEANT:
                self._fallen.add(name)
        return name in self._fallen

    def _gets_somewhere(self) -> bool:
        """Whether something is carried, or a door, lid or button has moved for a while."""
        joints = self._world.hinges()
        moved = bool(np.any(np.abs(joints - self._hinges) > _MOVED))
        if moved:
            self._hinges = joints
        return moved or any(map(self._carried, self._world.bodies))

    def _carried(self, name: str) -> bool:
        """Whether a body is in a hand, off where it lay."""
        start = self._world.scene.placements[name][0]
        return bool(
            np.linalg.norm(self._world.body_position(name) - start) > _CARRIED
            and self._world.touched_by_robot(name))

    def _missed(self, now: float) -> bool:
        """Whether a hand closed at an item and has nothing: what follows is done empty-handed.

        A fist that is made elsewhere, to press or push with, is none.
        """
        closures = self._world.positions()[GRIPPER_INDICES]
        items = [self._world.body_position(name) for name in self._world.bodies]
        for side, closure in enumerate(closures):
            if closure <= _CLOSED:
                self._closed[side] = None
            elif self._closed[side] is None:
                hand = self._world.hand_position(side)
                near = any(np.linalg.norm(hand - item) < _NEAR for item in items)
                self._closed[side] = now if near else math.inf
        if self._world.touches_something_loose():
            self._closed = [None if since is None else math.inf for since in self._closed]
        return any(since is not None and now - since >= self.config.empty
                   for since in self._closed)

    def _wrong_thing(self) -> bool:
        """Whether something else than the target, where there is one, hangs in a hand."""
        target = self._world.scene.facts.get('target')
        if not isinstance(target, str):
            return False
        return any(
            name != target and self._world.touched_by_robot(name)
            and self._world.body_position(name)[2] - start[0][2] > 0.03
            for name, start in self._world.scene.placements.items())

    def _body_heights(self) -> dict[str, float]:
        return {name: float(self._world.body_position(name)[2]) for name in self._world.bodies}


def _time_limit(world: World) -> float:
    from g1_sim import tasks
    return tasks.get(world.scene.task).time_limit
