# SPDX-License-Identifier: Apache-2.0
"""A scripted operator who acts through a pad: the way of a human's corrections, in one process."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from g1_description.kinematics import ArmKinematics
from g1_driver.loop import Observation
from lwd_actor.arbiter import Arbiter, TickInfo
from lwd_actor.proposal import Decision, Proposal, Seen, Source
from lwd_actor.reasons import Reason
from lwd_actor.teleop.config import TeleopConfig
from lwd_actor.teleop.pad_file import load_pad
from lwd_actor.teleop.scripted import ScriptedHands
from lwd_actor.teleop.teleop import RobotNow, Teleop

Array = NDArray[np.float64]


class JoyControl:
    """Joy messages, teleoperation and arbitration, as their nodes do it tick by tick."""

    def __init__(self, pad: str = 'operator', config: TeleopConfig | None = None) -> None:
        """Begin an episode.

        Args:
            pad: The pad in the script's hands.
            config: Of teleoperation.
        """
        kinematics, layout = ArmKinematics.of_robot(), load_pad(pad)
        self.device = layout.device
        """As interventions name it."""
        self._hands = ScriptedHands(layout, kinematics)
        self._teleop = Teleop(layout, config, kinematics)
        self._arbiter = Arbiter()
        self._command: Array | None = None

    def answer(
        self, observation: Observation, proposed: Array, source: int, corrected: Array | None,
        sent: Array, reason: int,
    ) -> Decision:
        """Return what the robot is asked to do in a tick.

        Args:
            observation: The tick.
            proposed: (16,) command of who drives.
            source: Who that is, ControlStep.SOURCE_*.
            corrected: (16,) where the operator wants the robot; None to leave it to who drives.
            sent: (16,) the command that the robot follows, as the operator sees it.
            reason: Why the operator is in control.
        """
        tick, now = observation.tick, observation.stamp_ns
        joints = observation.joints.positions
        if self._command is None:
            self._command = joints[:16].copy()
            self._teleop.restart(self._command)
        waist = joints[16:]
        sticks = self._hands.rest() if corrected is None else self._hands.follow(
            corrected, sent, waist, Reason(reason))
        self._teleop.controls.take(sticks.axes, sticks.buttons, now)
        asked = self._teleop.step(RobotNow(self._command, waist), now)
        seen = Seen(observation.joints.stamp_ns)
        self._arbiter.propose(Proposal(tick, Source.TELEOP, asked, seen))
        self._arbiter.propose(Proposal(tick, Source(source), proposed, seen))
        return self._arbiter.decide(
            TickInfo(tick, observation.reset_count, seen), command=self._command)

    def executed(self, positions: Array) -> None:
        """Take what the driver sent in the tick, (16,)."""
        self._command = positions
