# SPDX-License-Identifier: Apache-2.0
"""Who is in control: the one place that decides it.

E-stop before teleoperation before the policy (or an expert) before holding still.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lwd_actor.handover import PERIOD, Handover
from lwd_actor.proposal import Decision, Proposal, Seen, Source

Array = NDArray[np.float64]

PATIENCE = 6
"""Ticks for which the last command of who is in control still stands in: 0.2 s, as long as the
driver would follow it."""

_LEAP = 3.14


@dataclass(frozen=True)
class TickInfo:
    """A tick that is to be answered."""

    tick: int
    reset_count: int
    seen: Seen
    """What there was to see at the tick."""


class Arbiter:
    """Answers every tick with one command and who gave it. Call `decide` once a tick, in order.

    - An operator in control who falls silent is followed by holding, never by the policy: the
      operator took over because of it. Only an explicit hand-back (a proposal without positions)
      gives control to the policy.
      An operator who comes back from silence must take over again before that counts.
    - A policy that falls silent keeps its last command for `PATIENCE` ticks, then the robot holds.
      Whoever answers again after fewer is caught up with as fast as the joints may go.
    - At each change of who is in control `generation` counts up and `on_change` is called: a chunk
      that a policy inferred before is stale, it must infer anew.
    """

    def __init__(self, *, on_change: Callable[[Source, Source], None] | None = None) -> None:
        """Begin with nobody in control.

        Args:
            on_change: Called with who was in control and who is from this tick on.
        """
        self.generation = 0
        """How often control has changed."""
        self.source = Source.HOLD
        self._on_change = on_change
        self._handover = Handover()
        self._tick = -1
        self._reset_count = -1
        self._teleop: Proposal | None = None
        self._driver: Proposal | None = None
        self._abandoned = False
        self._velocity = np.zeros(16)
        self._held: Array | None = None

    @property
    def operator_in_control(self) -> bool:
        """Whether the operator has control, by the newest that was heard of teleoperation."""
        return self._teleop is not None and self._teleop.positions is not None

    def propose(self, proposal: Proposal) -> None:
        """Take the newest proposal of teleoperation, or of a policy or expert."""
        if proposal.source is Source.TELEOP:
            self._teleop = proposal
            return
        before, self._driver = self._driver, proposal
        self._velocity = np.zeros(16)
        if (before is not None and before.positions is not None
                and proposal.positions is not None and proposal.tick == before.tick + 1
                and before.chunk_id == proposal.chunk_id):
            velocity = (proposal.positions - before.positions) / PERIOD
            # A leap is no motion.
            self._velocity = np.where(np.abs(velocity) < _LEAP, velocity, 0.0)

    def decide(self, tick: TickInfo, *, command: Array | None, estopped: bool = False) -> Decision:
        """Return the answer to a tick.

        Args:
            tick: The tick.
            command: (16,) where the robot's command stands, as far as known: what it holds at if
                nobody commanded before.
            estopped: Whether the driver's emergency stop is latched.
        """
        if tick.reset_count != self._reset_count or tick.tick <= self._tick:
            self._restart(tick)
        self._tick = tick.tick
        source, proposal = self._choose(tick, estopped)
        changed = source is not self.source
        if changed:
            before, self.source = self.source, source
            self._held = None
            self.generation += 1
            if self._on_change is not None:
                self._on_change(before, source)
        target = self._held_at(source, command) if proposal is None else proposal.positions
        if target is None:
            return Decision(tick.tick, source, None, tick.seen)
        if changed:
            driving = proposal is not None and source is not Source.TELEOP
            self._handover.begin(target, self._velocity if driving else np.zeros(16))
        positions = self._handover.apply(
            target, repeated=proposal is not None and proposal.tick < tick.tick)
        if proposal is None:
            return Decision(tick.tick, source, positions, tick.seen)
        return Decision(
            tick.tick, source, positions, proposal.seen, proposal.policy_version,
            proposal.chunk_id, proposal.chunk_index)

    def _restart(self, tick: TickInfo) -> None:
        """Forget what was before a reset of the robot, or before its driver was started anew."""
        if self._teleop is not None and self._teleop.tick != tick.tick:
            self._teleop = None
        if self._driver is not None and self._driver.tick != tick.tick:
            self._driver = None
        self._abandoned = False
        self._reset_count = tick.reset_count
        self._handover.forget()
        self._held = None

    def _choose(self, tick: TickInfo, estopped: bool) -> tuple[Source, Proposal | None]:
        """Return who is in control and the proposal that counts; None to hold."""
        if estopped:
            return Source.ESTOP, None
        if self.operator_in_control:
            assert self._teleop is not None  # noqa: S101  operator_in_control says so
            self._abandoned = tick.tick - self._teleop.tick > PATIENCE
            if not self._abandoned:
                return Source.TELEOP, self._teleop
        if self._abandoned:
            return Source.HOLD, None
        driver = self._driver
        if driver is None or driver.positions is None or tick.tick - driver.tick > PATIENCE:
            return Source.HOLD, None
        return driver.source, driver

    def _held_at(self, source: Source, command: Array | None) -> Array | None:
        """Return where to hold, (16,): at the last command, or where the robot's stands."""
        if source is Source.ESTOP:
            # The driver brakes as it must; asking for where that leads keeps the release bumpless.
            self._handover.forget()
            return None if command is None else np.array(command, dtype=np.float64)
        if self._held is None:
            stop = self._handover.stop()
            known = command if stop is None else stop
            self._held = None if known is None else np.array(known, dtype=np.float64)
        return self._held
