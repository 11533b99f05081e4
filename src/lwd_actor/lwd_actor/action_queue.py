# SPDX-License-Identifier: Apache-2.0
"""What a policy has decided and the robot has not done yet: the actions of chunks, one a tick.

Between the look at the robot that a chunk is inferred from and the moment when it is there, the
robot has gone on with the last chunk. How far is not estimated here but counted: in actions that
were taken from the queue, and where it is known, in those that the robot was really given.

All chunks since the last `clear` lie on one line of actions: a chunk's first one stands where the
robot was when it was looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PATIENCE = 6
"""Ticks for which the last action stands in for one that is missing: 0.2 s."""
FADE = 6
"""Ticks over which what is left of a step between two chunks fades out."""
_REMEMBERED = 8


@dataclass(frozen=True)
class Chunk:
    """One inference's commands."""

    commands: Array
    """(H, 16) rad; grippers 0 .. 1. The first is for the tick of the observation."""
    number: int = 0
    """Counts up from 1 within a run."""
    version: str = ''
    """Of the policy."""
    fixed: int = 0
    """Leading steps that were conditioned on the chunk before."""


@dataclass(frozen=True)
class Action:
    """What a tick is answered with."""

    command: Array
    """(16,)."""
    chunk: int
    index: int
    """Of the command in its chunk."""
    version: str
    padded: bool
    """Whether it is the last real action once more, since there was none for this tick."""


@dataclass(frozen=True)
class Mark:
    """A moment in the queue: that of the observation of a chunk to come."""

    generation: int
    place: int
    """On the line: of the first action that the robot has not done."""
    left: Array
    """(R, 16) what was still to be played, the mark's own tick first."""


class ActionQueue:
    """Actions in the order of ticks. Used from one thread."""

    def __init__(self, *, patience: int = PATIENCE, fade: int = FADE) -> None:
        """Begin empty.

        Args:
            patience: For so many ticks the last real action stands in for a missing one.
            fade: See `FADE`.
        """
        self._patience, self._fade = patience, fade
        self._generation = 0
        self._place = 0
        self.starved = 0
        """Ticks without an action of their own since it was made, while there had been one."""
        self.repeated = 0
        """Ticks in which the robot was given an action again: an answer was late, or padded."""
        self.skipped = 0
        """Actions that the robot was never given, though later ones of their chunk."""
        self.clear()

    def clear(self) -> None:
        """Forget everything, as when somebody else was in control; older marks are void."""
        self._generation += 1
        self._chunk = Chunk(np.zeros((0, 16)))
        self._origin = self._done = self._place
        # Where chunks begin on the line, by number; the robot may still be given the last one's.
        self._origins: dict[int, int] = {}
        self._last: Action | None = None
        self._padded = 0

    @property
    def _next(self) -> int:
        return self._place - self._origin

    @property
    def left(self) -> int:
        """Actions that are still to be taken."""
        return len(self._chunk.commands) - self._next

    @property
    def starving(self) -> int:
        """Ticks that have gone by without an action of their own since the last real one."""
        return self._padded

    @property
    def taken(self) -> int:
        """Actions taken from the present chunk, those that it had in common with the last too."""
        return self._next

    def mark(self) -> Mark:
        """Return the present moment, to be given back with the chunk that is inferred from it."""
        return Mark(self._generation, self._place, self._chunk.commands[self._next:])

    def delay(self, mark: Mark) -> int:
        """Return how many actions were taken since a mark, its own tick's included."""
        return self._place - mark.place

    def followed(self, chunk: int, index: int) -> None:
        """Take which action the robot was given in a tick, as the arbiter says; tick by tick.

        Others than of this line are passed over.
        """
        origin = self._origins.get(chunk)
        if origin is None:
            return
        before, self._done = self._done, origin + index + 1
        self.repeated += self._done <= before
        self.skipped += max(0, self._done - before - 1)

    def resume(self) -> None:
        """Go on behind what the robot was given last; only if that is known of the last tick.

        An answer that came too late was not followed in its tick: its action is still to be done.
        """
        self._place = max(self._done, self._origin)

    def replace(self, chunk: Chunk) -> None:
        """Play a chunk from its first action on: it was inferred while nothing moved on."""
        self._begin(chunk, self._place)

    def _begin(self, chunk: Chunk, origin: int) -> None:
        self._chunk, self._origin, self._padded = chunk, origin, 0
        self._origins[chunk.number] = origin
        while len(self._origins) > _REMEMBERED:
            del self._origins[next(iter(self._origins))]

    def merge(self, chunk: Chunk, mark: Mark, *, blend: int = 0) -> bool:
        """Go over to a chunk that was inferred while the last one was played.

        Its steps that were conditioned on the last one are played as they were. What step remains
        at the seam fades out; with `blend` the two chunks are mixed instead, which costs time in
        which neither plan is followed but asks nothing of the policy.

        Args:
            chunk: The new one; its first step belongs to the mark's tick.
            mark: The moment of its observation.
            blend: Ticks over which to go from the old chunk to the new one.

        Returns:
            Whether it is played: not if it was overtaken by a `clear`, or by the clock.
        """
        if mark.generation != self._generation:
            return False
        at = self.delay(mark)
        if at >= len(chunk.commands):
            return False
        fixed = min(chunk.fixed, len(mark.left))
        commands = chunk.commands.copy()
        if len(mark.left):
            # Also those that were taken: the robot may turn out not to have been given them.
            seam = max(at, 0 if blend else fixed)
            commands[:seam] = mark.left[np.minimum(np.arange(seam), len(mark.left) - 1)]
            if blend:
                self._mix(commands, mark.left, at, blend)
            else:
                self._join(commands, chunk.commands, mark.left, seam)
        self._begin(Chunk(commands, chunk.number, chunk.version, fixed), mark.place)
        return True

    def _join(self, commands: Array, free: Array, old: Array, seam: int) -> None:
        """Let the step between the last action before the seam and the new chunk fade out."""
        if seam == 0:
            return
        # A missing tail is padded by the last real action: the arm stands there, not at zero.
        step = old[min(seam, len(old)) - 1] - free[seam - 1]
        part = 1.0 - np.arange(1, self._fade + 1) / (self._fade + 1)
        reach = commands[seam:seam + self._fade]
        reach += part[:len(reach), None] * step

    @staticmethod
    def _mix(commands: Array, old: Array, at: int, ticks: int) -> None:
        reach = commands[at:at + ticks]
        rows = np.minimum(np.arange(at, at + len(reach)), len(old) - 1)
        part = (1.0 - np.arange(1, ticks + 1) / (ticks + 1))[:len(reach), None]
        reach[:] = part * old[rows] + (1.0 - part) * reach

    def pop(self) -> Action | None:
        """Return the action of this tick; None where the robot should hold.

        An action that is missing is padded by the last real one, for a while.
        """
        if self.left:
            self._last = Action(self._chunk.commands[self._next], self._chunk.number, self._next,
                                self._chunk.version, padded=False)
            self._place += 1
            self._padded = 0
            return self._last
        if self._last is None:
            return None
        self.starved += 1
        self._padded += 1
        if self._padded > self._patience:
            return None
        last = self._last
        return Action(last.command, last.chunk, last.index, last.version, padded=True)
