# SPDX-License-Identifier: Apache-2.0
"""A script at a pad: joint targets become hand twists, as a human's eyes and hands make them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from g1_description.kinematics import ARMS, ArmKinematics, orientation_error
from lwd_actor.reasons import Reason
from lwd_actor.teleop.pad import NONE, HandInputs, PadConfig
from lwd_actor.teleop.teleop import PERIOD

Array = NDArray[np.float64]

# How fast the hand closes in on where the script wants it, beyond moving along with it, 1/s, and
# how hard it brakes there, m/s^2 and rad/s^2: an arm that cannot stop in time overshoots.
_GAIN = 6.0
_BRAKING = (0.6, 2.0)


@dataclass(frozen=True)
class Sticks:
    """The content of a joy message, rounded as the message rounds it."""

    axes: tuple[float, ...]
    buttons: tuple[int, ...]


class ScriptedHands:
    """Turns a script's commands into axes and buttons of a pad with an input for each hand."""

    def __init__(self, pad: PadConfig, kinematics: ArmKinematics | None = None) -> None:
        """Take a pad into the hands.

        Args:
            pad: With axes for both hands, as config/pads/operator.yaml.
            kinematics: Of the robot; made if not given.
        """
        self._pad = pad
        self._kinematics = kinematics or ArmKinematics.of_robot()
        self._last: list[tuple[Array, Array]] | None = None

    def rest(self) -> Sticks:
        """Return the pad let go."""
        self._last = None
        return Sticks((0.0,) * self._pad.axes, (0,) * self._pad.buttons)

    def follow(self, wanted: Array, command: Array, waist: Array, reason: Reason) -> Sticks:
        """Return the pad held so that the hands go where a script wants them.

        Args:
            wanted: (16,) the script's command.
            command: (16,) the command that the robot follows now.
            waist: (4,) head and waist.
            reason: Why the script is in control.
        """
        goals = self._poses(np.concatenate([wanted, waist]))
        before, self._last = self._last or goals, goals
        axes = np.zeros(self._pad.axes, dtype=np.float32)
        here = self._poses(np.concatenate([command, waist]))
        for side, inputs in enumerate((self._pad.left, self._pad.right)):
            along = _difference(before[side], goals[side]) / PERIOD
            towards = _closing(_difference(here[side], before[side]))
            self._push(axes, inputs, along + towards)
            at = ARMS[side].stop
            if inputs.axis_gripper != NONE:
                rate = (wanted[at] - command[at]) / PERIOD / inputs.scale_gripper
                axes[inputs.axis_gripper] = np.clip(rate, -1.0, 1.0)
        buttons = [0] * self._pad.buttons
        buttons[self._pad.enable_button] = 1
        why = {Reason.STUCK: self._pad.stuck_button, Reason.DROPPED: self._pad.dropped_button,
               Reason.WRONG_OBJECT: self._pad.wrong_object_button,
               Reason.UNSAFE: self._pad.unsafe_button}.get(reason, NONE)
        if why != NONE:
            buttons[why] = 1
        return Sticks(tuple(map(float, axes)), tuple(buttons))

    def _poses(self, full: Array) -> list[tuple[Array, Array]]:
        self._kinematics.place(full)
        return [self._kinematics.pose(side) for side in (0, 1)]

    @staticmethod
    def _push(axes: NDArray[np.float32], inputs: HandInputs, twist: Array) -> None:
        groups = ((inputs.axis_linear, inputs.scale_linear),
                  (inputs.axis_angular, inputs.scale_angular))
        parts = iter(twist)
        for numbers, scales in groups:
            for at in 'xyz':
                part, number = next(parts), getattr(numbers, at)
                if number != NONE:
                    axes[number] = np.clip(part / getattr(scales, at), -1.0, 1.0)


def _closing(error: Array) -> Array:
    """Return the twist, (6,), that takes an error away, slow enough to stop where it is gone."""
    twist = _GAIN * error
    for part, braking in zip((slice(0, 3), slice(3, 6)), _BRAKING):
        size = float(np.linalg.norm(error[part]))
        twist[part] *= min(1.0, np.sqrt(2.0 * braking * size) / max(_GAIN * size, 1e-12))
    return twist


def _difference(start: tuple[Array, Array], goal: tuple[Array, Array]) -> Array:
    """Return how a pose differs from another, (6,): m and a rotation vector, base_link."""
    return np.concatenate([goal[0] - start[0], orientation_error(start[1], goal[1])])
