# SPDX-License-Identifier: Apache-2.0
"""A scripted human who watches a policy, takes over when it goes wrong, and hands back."""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from g1_sim.errors import SceneError
from g1_sim.experts import Expert, expert_for
from g1_sim.experts.flaws import Flaws
from g1_sim.tasks.base import Verdict
from g1_sim.world import World

Array = NDArray[np.float64]

RATE = 30


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

    reaction: float = 0.7
    """From seeing that something is wrong to taking over, s."""
    patience: float = 4.0
    """How long nothing may come of it before the policy counts as stuck, s."""
    budget: float = 0.5
    """Largest share of an episode's time limit that the operator spends in control."""
    longest: float = 20.0
    """Longest single intervention, s."""
    flaws: Flaws = field(default_factory=Flaws)
    """What the operator does wrong; a clean script by default."""

    def __post_init__(self) -> None:
        for name in ('reaction', 'patience', 'longest'):
            if getattr(self, name) < 0.0:
                raise SceneError(f'operator.{name} is {getattr(self, name)} s; it must not be '
                                 'negative')
        if not 0.0 <= self.budget <= 1.0:
            raise SceneError(f'operator.budget is {self.budget}; it is a share, 0 to 1')


class Operator:
    """Call `watch` once a control step; while it returns a command, that one counts.

    The operator takes over when the policy is stuck (neither score nor hands get anywhere for
    `patience`), has dropped something (a body falls) or moves what the task does not ask for;
    after `reaction` seconds the task's script begins from wherever the robot is. Hand-back comes
    when the score has risen, the script has ended or the budget is spent.
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
        self._progress_at = 0.0
        self._hands: deque[Array] = deque(maxlen=RATE)
        self._heights = self._body_heights()
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
            self._best, self._progress_at = verdict.score, now
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
            verdict.score > self._score or self._expert.finished
            or now - self._since > self.config.longest or self._spent >= self._limit)
        if over:
            self._expert, self._noticed, self.reason = None, None, Reason.NONE
            self._progress_at = now
            self._hands.clear()
            self._heights = self._body_heights()
            return None
        return self._expert.act()

    def _trouble(self, now: float) -> Reason:
        self._hands.append(self._world.positions()[:16])
        heights = self._body_heights()
        fell = any(self._heights[name] - height > 0.12 for name, height in heights.items())
        for name, height in heights.items():
            # What is lifted counts from where it was lifted to: a fall from there is a drop.
            self._heights[name] = max(self._heights[name], height)
        if fell:
            return Reason.DROPPED
        if self._wrong_thing():
            return Reason.WRONG_OBJECT
        still = len(self._hands) == self._hands.maxlen and float(
            np.max(np.abs(self._hands[-1] - self._hands[0]))) < 0.05
        if now - self._progress_at > (self.config.patience if still else 4 * self.config.patience):
            return Reason.STUCK
        return Reason.NONE

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
