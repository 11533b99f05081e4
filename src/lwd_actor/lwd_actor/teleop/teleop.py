# SPDX-License-Identifier: Apache-2.0
"""Teleoperation: a pad's messages in, joint targets out, once a control tick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from g1_description.joints import GRIPPER_INDICES
from g1_description.kinematics import ARMS, ArmKinematics, orientation_error, rotated
from g1_driver.safety.profile import StepLimits, longest_step, track
from lwd_actor.teleop.config import LEADER, TeleopConfig
from lwd_actor.teleop.controls import Controls
from lwd_actor.teleop.leader import LeaderArms
from lwd_actor.teleop.pad import NONE, HandDemand, PadConfig

Array = NDArray[np.float64]

PERIOD = 1.0 / 30.0
# How fast a hand closes in on the pose that its twist has led to, 1/s, and how far that pose may
# be ahead of it: m, rad.
_FEEDBACK = 5.0
_AHEAD = np.array([0.01, 0.05])
_SIDES = ('left', 'right')
_STILL = 1e-9


@dataclass(frozen=True)
class RobotNow:
    """What teleoperation must know of the robot at a tick."""

    command: Array
    """(16,) the last command that the driver sent to the motors."""
    waist: Array
    """(4,) head and waist, as they follow a command in a joint state."""


class Teleop:
    """Moves the hands as the operator's sticks say, or the arms as the leader's.

    A hand's twist V, integrated to a pose X*, becomes joint steps by damped least squares of
    V + k (X* - X) with the rest posture in the null space (`ArmKinematics.velocity`); without the
    feedback, damping would bend the hand's way. All joints of an arm are slowed together; then
    the step may change by so much a tick, and leaves room to brake before a joint's limit. A hand
    without a twist stands still, elbow and all.
    """

    def __init__(
        self, pad: PadConfig, config: TeleopConfig | None = None,
        kinematics: ArmKinematics | None = None,
    ) -> None:
        """Set teleoperation up.

        Args:
            pad: What axes and buttons mean.
            config: Limits and timeouts.
            kinematics: Of the robot; made if not given.
        """
        self.config = config or TeleopConfig()
        self.controls = Controls(pad, timeout=self.config.joy_timeout)
        self.leader = LeaderArms(timeout=self.config.leader_timeout)
        self._kinematics = kinematics or ArmKinematics.of_robot()
        self._lower, self._upper = self._kinematics.lower, self._kinematics.upper
        self._posture: Array | None = None
        self._target: Array | None = None
        self._command: Array | None = None
        self._step = np.zeros(16)
        self._aim: Array | None = None
        self._led: list[tuple[Array, Array] | None] = [None, None]
        """Poses that twists have led to."""
        self._goals: list[float | None] = [None, None]
        """Where a toggled gripper is on its way to."""
        velocity = np.full(16, self.config.joint_velocity * PERIOD)
        velocity[GRIPPER_INDICES] = self.config.gripper_velocity * PERIOD
        acceleration = np.full(16, self.config.joint_acceleration * PERIOD**2)
        acceleration[GRIPPER_INDICES] = velocity[GRIPPER_INDICES]
        self._limits = StepLimits(self._lower, self._upper, velocity, acceleration)

    @property
    def active(self) -> bool:
        """Whether the operator is in control."""
        return self.controls.wants_control

    def restart(self, command: Array) -> None:
        """Begin an episode: nobody is in control, and this posture, (16,), is the arms' rest."""
        self._posture = np.array(command, dtype=np.float64)
        self._target = self._command = None
        self.controls.hand_back()

    def moving(self, now_ns: int) -> bool:
        """Whether the operator may move the robot: in control, enabled, and heard."""
        return self.active and self.controls.enabled(now_ns) and not (
            self.config.mode == LEADER and self.leader.lost(now_ns))

    def step(self, robot: RobotNow, now_ns: int) -> Array | None:
        """Return the command of a tick, (16,): rad, grippers 0..1; None if not in control.

        Args:
            robot: What the robot does now.
            now_ns: The tick's stamp, ns.
        """
        before, self._command = self._command, np.array(robot.command, dtype=np.float64)
        if not self.active:
            self._target = None
            return None
        if self._target is None:
            self._target = self._command.copy()
            # The arms may be moving: they are braked, not stopped dead.
            self._step = np.zeros(16) if before is None else np.clip(
                self._command - before, -self._limits.velocity, self._limits.velocity)
            self._goals, self._led, self._aim = [None, None], [None, None], None
            self.leader.let_go()
            if self._posture is None:
                self._posture = self._target.copy()
        leash = self.config.leash
        target = np.clip(self._target, robot.command - leash, robot.command + leash)
        if not self.moving(now_ns):
            step = self._slowed(np.zeros(16))
            self.leader.let_go()
            self._goals, self._led, self._aim = [None, None], [None, None], None
        elif self.config.mode == LEADER:
            step = self._copy(target, now_ns)
        else:
            step = self._jog(target, robot.waist)
        self._step = self._within_limits(target, step)
        self._target = target + self._step
        return self._target.copy()

    def _within_limits(self, target: Array, step: Array) -> Array:
        """Return the step, (16,), such that every joint can still brake before its limit."""
        acceleration = self._limits.acceleration
        # From beyond a limit, where the robot may have been, only inwards.
        lower, upper = np.minimum(self._lower, target), np.maximum(self._upper, target)
        return np.clip(step, -longest_step(target - lower, acceleration),
                       longest_step(upper - target, acceleration))

    def _copy(self, target: Array, now_ns: int) -> Array:
        """Return the step, (16,), that follows the leader."""
        aim = np.clip(self.leader.aim(target, now_ns), self._lower, self._upper)
        before, self._aim = aim if self._aim is None else self._aim, aim
        return track(target, self._step, aim, np.clip(
            aim - before, -self._limits.velocity, self._limits.velocity), self._limits).step

    def _jog(self, target: Array, waist: Array) -> Array:
        full = np.concatenate([target, waist])
        demands = self._demands(full)
        assert self._posture is not None  # noqa: S101  step() has set it
        wanted = np.zeros(16)
        for side, demand in enumerate(demands):
            if np.max(np.abs(demand.twist)) <= _STILL:
                self._led[side] = None
            else:
                step = self._kinematics.velocity(
                    side, self._led_by(side, demand.twist, full), full,
                    self._posture[ARMS[side]], seconds=PERIOD)
                longest = float(np.max(np.abs(step)))
                limit = self.config.joint_velocity * PERIOD
                wanted[ARMS[side]] = step * min(1.0, limit / max(longest, 1e-12))
            wanted[7 + 8 * side] = demand.gripper * PERIOD
        return self._slowed(wanted)

    def _led_by(self, side: int, twist: Array, full: Array) -> Array:
        """Lead a hand's pose on by a twist; return the twist, (6,), that takes the hand there."""
        self._kinematics.place(full)
        here, turned = self._kinematics.pose(side)
        goal, goal_turned = self._led[side] or (here, turned)
        error = np.concatenate([goal - here, orientation_error(turned, goal_turned)])
        for part, most in zip((error[:3], error[3:]), _AHEAD):
            part *= min(1.0, most / max(float(np.linalg.norm(part)), 1e-12))
        self._led[side] = (here + error[:3] + PERIOD * twist[:3],
                           rotated(rotated(turned, error[3:]), PERIOD * twist[3:]))
        return twist + _FEEDBACK * error

    def _slowed(self, wanted: Array) -> Array:
        """Return the step nearest to the wanted one that acceleration allows, (16,)."""
        step = wanted.copy()
        largest = self.config.joint_acceleration * PERIOD**2
        for arm in ARMS:
            change = wanted[arm] - self._step[arm]
            step[arm] = self._step[arm] + change * min(
                1.0, largest / max(float(np.max(np.abs(change))), 1e-12))
        limit = self.config.gripper_velocity * PERIOD
        step[GRIPPER_INDICES] = np.clip(wanted[GRIPPER_INDICES], -limit, limit)
        return step

    def _demands(self, full: Array) -> list[HandDemand]:
        """Return what each hand is asked to do."""
        pad, axes, buttons = self.controls.pad, self.controls.axes, self.controls.buttons
        demands = [pad.demand(pad.left, axes, buttons), pad.demand(pad.right, axes, buttons)]
        chosen = pad.demand(pad.selected, axes, buttons)
        sides = [side for side in (0, 1) if self.controls.arm in (_SIDES[side], 'both')]
        twists = [chosen.twist] * 2
        if len(sides) > 1 and np.any(chosen.twist[3:]):
            twists = self._rigid(chosen.twist, full)
        for side in sides:
            demands[side] = HandDemand(
                demands[side].twist + twists[side], demands[side].gripper + chosen.gripper)
        for inputs, toggles in ((pad.selected, sides), (pad.left, [0]), (pad.right, [1])):
            self._toggle(inputs.toggle_button, toggles, full)
        return [self._towards_goal(side, demand, full) for side, demand in enumerate(demands)]

    def _rigid(self, twist: Array, full: Array) -> list[Array]:
        """Return each hand's twist, (6,), as both turn about the point between them.

        v_i = v + w x (p_i - p), p the mean of the TCPs: what both hold together stays in them.
        """
        self._kinematics.place(full)
        places = [self._kinematics.pose(side)[0] for side in (0, 1)]
        middle = (places[0] + places[1]) / 2.0
        return [np.concatenate([twist[:3] + np.cross(twist[3:], place - middle), twist[3:]])
                for place in places]

    def _toggle(self, button: int, sides: Sequence[int], full: Array) -> None:
        if button == NONE or not self.controls.toggled(button):
            return
        for side in sides:
            goal = self._goals[side]
            now = full[7 + 8 * side] if goal is None else goal
            self._goals[side] = 0.0 if now > 0.5 else 1.0

    def _towards_goal(self, side: int, demand: HandDemand, full: Array) -> HandDemand:
        goal = self._goals[side]
        if goal is None:
            return demand
        if demand.gripper != 0.0:
            self._goals[side] = None
            return demand
        # As fast as it goes; the last step is shorter.
        left = goal - full[7 + 8 * side]
        if abs(left) < _STILL:
            self._goals[side] = None
        return HandDemand(demand.twist, float(left) / PERIOD)
