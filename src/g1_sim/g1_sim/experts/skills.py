# SPDX-License-Identifier: Apache-2.0
"""What a scripted expert can do with its hands: move along a line, grip, wait.

A script is a generator that yields once a control step; it delegates to skills, generators too.
The expert sees the world's whole state and answers with joint targets, as a policy would.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from g1_description.joints import ARM_INDICES
from g1_description.kinematics import ArmKinematics, orientation_error, rotated
from g1_sim.experts.flaws import Flaws, Tremor
from g1_sim.world import World

Array = NDArray[np.float64]
Script: TypeAlias = Generator[None, None, None]

RATE = 30
_SWING_ITERATIONS = 25
_JOINT_STEP = 0.05
_ARRIVED = 0.008
_ADJUST_GAIN = 0.07
_PATIENCE = 12
_AT_REST = 0.1
_ENDED = object()


def facing(yaw: float, down: float = 0.0) -> Array:
    """Return the orientation, (3, 3), of a hand that reaches out with its palm upright.

    The hand's z points along the reach: yaw rad left of forward, down rad below the horizon.
    """
    x = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    z = np.array([np.cos(yaw) * np.cos(down), np.sin(yaw) * np.cos(down), -np.sin(down)])
    return np.column_stack([x, np.cross(z, x), z])


def together(*scripts: Script) -> Script:
    """Run scripts side by side, one for each hand, until all have ended."""
    running = list(scripts)
    while True:
        running = [script for script in running if next(script, _ENDED) is not _ENDED]
        if not running:
            return
        yield


@dataclass(frozen=True)
class Pace:
    """How fast an expert works where its script says nothing else."""

    speed: float = 0.40
    """Peak speed of a hand on a straight line, m/s."""
    turn: float = 1.6
    """Of a hand that turns, rad/s."""
    swing: float = 1.3
    """Of the fastest joint in a motion in joint space, rad/s."""
    grip: float = 0.06
    """Change of a gripper's closure in a control step."""


class Expert:
    """Runs a script in a world; `act` returns the next command, (16,)."""

    def __init__(
        self, world: World, script: Callable[[Expert], Script], flaws: Flaws | None = None,
    ) -> None:
        """Start a script from where the world's robot is now.

        Args:
            world: The world that it sees and acts in.
            script: What it does.
            flaws: What it does wrong; nothing by default.
        """
        self.world = world
        self.flaws = flaws or Flaws()
        self._tremor = Tremor(self.flaws)
        self.kinematics = ArmKinematics(world.model)
        self.posture = world.scene.posture[:16].copy()
        self.command = world.positions()[:16]
        self._waist = world.scene.posture[16:]
        self._script = script(self)
        self.finished = False
        self.pace = Pace()

    def act(self) -> Array:
        """Return the command for the next control step, (16,): rad, grippers 0..1."""
        if not self.finished and not self._tremor.pauses():
            self.finished = next(self._script, _ENDED) is _ENDED
        command = self.command.copy()
        command[ARM_INDICES] += self._tremor.error()
        return command

    def steps(self, *steps: Callable[[], Script]) -> Script:
        """Do the steps of a script in order, but for what `flaws` says about order."""
        order = list(range(len(steps)))
        swap = self.flaws.swap
        if 0 <= swap < len(steps) - 1:
            order[swap], order[swap + 1] = order[swap + 1], order[swap]
        for i in order:
            if i != self.flaws.skip or len(steps) == 1:
                yield from steps[i]()

    def grasp_at(self, position: Array, rotation: Array) -> Array:
        """Return where to grasp, (3,) m: a spot, off by what `flaws` says."""
        return position + rotation @ np.array(self.flaws.grasp_offset)

    def place_at(self, position: Array) -> Array:
        """Return where to let go, (3,) m: a spot, off and above by what `flaws` says."""
        return position + np.array([*self.flaws.place_offset, self.flaws.early_release])

    def hand(self, side: int) -> tuple[Array, Array]:
        """Return where a hand really is: TCP position (3,) m and rotation (3, 3), base_link."""
        self.kinematics.place(self.world.positions())
        return self.kinematics.pose(side)

    def wait(self, steps: int) -> Script:
        """Hold still."""
        for _ in range(steps):
            yield

    def grip(self, side: int, closure: float) -> Script:
        """Bring a gripper to a closure, 0 open to 1 closed, and let it settle.

        Args:
            side: 0 left, 1 right.
            closure: Where to.
        """
        at, rate = 7 + 8 * side, self.pace.grip
        closure = min(closure, 1.0 - self.flaws.weak_grip)
        while abs(self.command[at] - closure) > 1e-9:
            self.command[at] += np.clip(closure - self.command[at], -rate, rate)
            yield
        yield from self.wait(5)

    def move(
        self, side: int, position: Array, rotation: Array, *, yaw_weight: float = 1.0,
        speed: float | None = None, exact: bool = True,
    ) -> Script:
        """Move a hand along a straight line, smoothly from rest to rest.

        Args:
            side: 0 left, 1 right.
            position: (3,) goal of the TCP, m, base_link.
            rotation: (3, 3) goal orientation.
            yaw_weight: See ArmKinematics.solve.
            speed: Peak speed, m/s; that of the pace by default.
            exact: Whether to wait until the hand has arrived.
        """
        full = np.concatenate([self.command, self._waist])
        self.kinematics.place(full)
        start, start_rotation = self.kinematics.pose(side)
        turn = orientation_error(start_rotation, rotation)
        distance = float(np.linalg.norm(position - start))
        seconds = 1.875 * max(distance / (speed or self.pace.speed),
                              float(np.linalg.norm(turn)) / self.pace.turn)
        steps = max(1, round(self.flaws.slowness * seconds * RATE))
        for i in range(1, steps + 1):
            part = minimum_jerk(i / steps)
            self._towards(side, start + part * (position - start),
                          rotated(start_rotation, part * turn), yaw_weight)
            yield
        for _ in range(_PATIENCE if exact else 0):
            if float(np.linalg.norm(self.hand(side)[0] - position)) < _ARRIVED:
                return
            self._towards(side, position, rotation, yaw_weight)
            yield

    def adjust(
        self, side: int, rotation: Array, error: Callable[[], Array], *, within: float = 0.0015,
        steps: int = 30,
    ) -> Script:
        """Shift a hand until a measured error has vanished, for what must fit closely.

        Args:
            side: 0 left, 1 right.
            rotation: (3, 3) orientation that the hand keeps.
            error: Returns how far what it holds is still to go, (3,) m, base_link.
            within: Error that is good enough, m.
            steps: Most control steps that it may take.
        """
        self.kinematics.place(np.concatenate([self.command, self._waist]))
        position, _ = self.kinematics.pose(side)
        for _ in range(steps):
            left = error()
            if float(np.linalg.norm(left)) < within:
                return
            position = position + _ADJUST_GAIN * left
            self._towards(side, position, rotation, 1.0)
            yield

    def swing(
        self, side: int, position: Array, rotation: Array, *, yaw_weight: float = 1.0,
    ) -> Script:
        """Bring a hand to a pose smoothly in joint space, where no joint limit is in the way.

        Args:
            side: 0 left, 1 right.
            position: (3,) goal of the TCP, m, base_link.
            rotation: (3, 3) goal orientation.
            yaw_weight: See ArmKinematics.solve.
        """
        arm = slice(0, 7) if side == 0 else slice(8, 15)
        yield from self._swing(side, self.kinematics.solve(
            side, position, rotation, np.concatenate([self.posture, self._waist]),
            self.posture[arm],
            iterations=_SWING_ITERATIONS, yaw_weight=yaw_weight))

    def trace(
        self, side: int, path: Callable[[float], tuple[Array, Array]], seconds: float, *,
        yaw_weight: float = 1.0,
    ) -> Script:
        """Move a hand along a curve, smoothly from rest to rest.

        Args:
            side: 0 left, 1 right.
            path: From the part of the way, 0 to 1, to the TCP's position (3,) m and rotation
                (3, 3), base_link.
            seconds: How long it takes.
            yaw_weight: See ArmKinematics.solve.
        """
        steps = max(1, round(self.flaws.slowness * seconds * RATE))
        for i in range(1, steps + 1):
            self._towards(side, *path(minimum_jerk(i / steps)), yaw_weight)
            yield

    def rests(self, side: int) -> bool:
        """Whether an arm is in its rest posture."""
        arm = slice(0, 7) if side == 0 else slice(8, 15)
        return float(np.max(np.abs(self.command[arm] - self.posture[arm]))) < _AT_REST

    def rest(self, side: int) -> Script:
        """Bring an arm back to its rest posture, smoothly in joint space."""
        arm = slice(0, 7) if side == 0 else slice(8, 15)
        yield from self._swing(side, self.posture[arm])

    def _swing(self, side: int, goal: Array) -> Script:
        arm = slice(0, 7) if side == 0 else slice(8, 15)
        start = self.command[arm].copy()
        way = goal - start
        seconds = 1.875 * float(np.max(np.abs(way))) / self.pace.swing
        steps = max(1, round(self.flaws.slowness * seconds * RATE))
        for i in range(1, steps + 1):
            self.command[arm] = start + minimum_jerk(i / steps) * way
            yield

    def _towards(self, side: int, position: Array, rotation: Array, yaw_weight: float) -> None:
        arm = slice(0, 7) if side == 0 else slice(8, 15)
        self.command[arm] = self.kinematics.solve(
            side, position, rotation, np.concatenate([self.command, self._waist]),
            self.posture[arm], max_step=_JOINT_STEP, yaw_weight=yaw_weight)


def minimum_jerk(s: float) -> float:
    """Return the part of the way, 0 to 1, at a part of the time; its speed peaks at 1.875."""
    return s**3 * (10.0 - 15.0 * s + 6.0 * s**2)
