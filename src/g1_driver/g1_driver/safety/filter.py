# SPDX-License-Identifier: Apache-2.0
"""The safety filter: turns any sequence of commands into one that keeps every limit.

Invariant, by induction over ticks: from the last command sent, full braking of every joint stays
within the position limits and keeps the distances. A new command is sent only if the same is true
of it; otherwise one arm, then both, brake instead, which the last tick has shown to be safe.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from g1_description.joints import (
    ARM_INDICES,
    COMMAND_JOINTS,
    COMMAND_NAMES,
    GRIPPER_INDICES,
    limits,
)
from g1_driver.commands import Clip, Command, Executed, Hold, State, clip_name
from g1_driver.errors import ConfigurationError
from g1_driver.safety.blend import Blend, BlendLimits
from g1_driver.safety.config import SafetyConfig
from g1_driver.safety.profile import StepLimits, brake, braking_distance, track
from g1_driver.safety.proximity import LOOK_AHEAD, REACH, Clearance

Array = NDArray[np.float64]

_STILL = 1e-9
_CLOSE = 0.005


def _mask(*indices: int) -> NDArray[np.bool_]:
    return np.isin(np.arange(16), indices)


_LEFT, _RIGHT = tuple(range(7)), tuple(range(8, 15))
_TO_STOP = (_mask(), _mask(*_RIGHT), _mask(*_LEFT), _mask(*_LEFT, *_RIGHT), _mask(*range(16)))
"""Who brakes where the way is not clear: as few as need to; the grippers, whose fingers sweep too,
only at last."""


class Proximity(Protocol):
    """Distances between the bodies of the robot, and between them and keep-out boxes."""

    def clearance(self, positions: Array) -> Clearance:
        """Return how close the bodies are at a command, (16,)."""


class SafetyFilter:
    """Checks, limits and, in doubt, holds. One call a tick; not thread-safe."""

    def __init__(self, config: SafetyConfig, proximity: Proximity, *, period: float) -> None:
        """Set the filter up; it holds until `reset` gives it a position.

        Args:
            config: The limits.
            proximity: The distance check.
            period: Seconds a tick.
        """
        self.config = config
        self.proximity = proximity
        self.period = period
        lower, upper = limits(COMMAND_JOINTS)
        lower[ARM_INDICES] += config.position_margin
        upper[ARM_INDICES] -= config.position_margin
        velocity = np.full(16, config.arm_velocity)
        acceleration = np.full(16, config.arm_acceleration)
        velocity[GRIPPER_INDICES] = config.gripper_velocity
        acceleration[GRIPPER_INDICES] = config.gripper_acceleration
        self._limits = StepLimits(lower, upper, velocity * period, acceleration * period**2)
        blend_velocity = np.full(16, config.blend_velocity)
        blend_acceleration = np.full(16, config.blend_acceleration)
        blend_jerk = np.full(16, config.blend_jerk)
        # A gripper carries no mass worth blending: its own limits smooth it enough.
        for blended in (blend_velocity, blend_acceleration, blend_jerk):
            blended[GRIPPER_INDICES] = 1e6
        self._blend_limits = BlendLimits(blend_velocity, blend_acceleration, blend_jerk)
        self._position = np.zeros(16)
        self._placed = False
        self._step = np.zeros(16)
        self._target: Array | None = None
        self._blend: Blend | None = None
        self._blend_time = 0.0
        self._estop = ''
        self._fault = ''
        self._clearance = proximity.clearance(self._position)

    @property
    def estopped(self) -> bool:
        """Whether the emergency stop is latched."""
        return bool(self._estop)

    @property
    def stop_reason(self) -> str:
        """Why the emergency stop is latched; empty if it is not."""
        return self._estop

    @property
    def faulted(self) -> bool:
        """Whether it holds because the robot's state cannot be trusted."""
        return bool(self._fault)

    @property
    def position(self) -> Array:
        """The last command sent, (16,)."""
        return self._position.copy()

    @property
    def moving(self) -> bool:
        """Whether the last command sent differs from the one before."""
        return bool(np.any(np.abs(self._step) > _STILL))

    def reset(self, measured: Array) -> None:
        """Start over from a measured position at rest, (16,); the e-stop stays as it is."""
        if measured.shape != (16,) or not np.all(np.isfinite(measured)):
            raise ConfigurationError(f'the filter cannot start from {measured}: 16 finite numbers')
        self._position = measured.astype(np.float64)
        self._placed = True
        self._step = np.zeros(16)
        self._target = None
        self._blend = None
        self._fault = ''
        self._clearance = self.proximity.clearance(self._position)

    def estop(self, why: str) -> None:
        """Latch the emergency stop: brake, then stand still until `release`."""
        self._estop = self._estop or why or 'no reason given'

    def release(self, measured: Array) -> None:
        """Release the emergency stop and start over from a measured position, (16,).

        Raises:
            ConfigurationError: The robot is still braking.
        """
        if self.moving:
            raise ConfigurationError('still braking after the emergency stop; release it again')
        fault = self._fault
        self.reset(measured)
        self._estop, self._fault = '', fault

    def fault(self, why: str) -> None:
        """Hold until the next reset because the robot's state cannot be trusted."""
        self._fault = self._fault or why

    def step(self, command: Command | None, *, now_ns: int) -> Executed:
        """Return what to send in this tick.

        Args:
            command: The newest command, or None if none ever came.
            now_ns: The tick's time, ns, on the clock of the commands' stamps.

        Raises:
            ConfigurationError: The filter was never reset.
        """
        if not self._placed:
            raise ConfigurationError('the safety filter has no position yet: call reset first')
        hold, why = self._refusal(command, now_ns)
        if hold is not Hold.NONE or command is None:
            return self._hold(hold, why, command)
        requested = np.asarray(command.positions, dtype=np.float64)
        target = np.clip(requested, self._limits.lower, self._limits.upper)
        clips = np.where(np.abs(target - requested) > _STILL, Clip.POSITION, 0).astype(np.uint8)
        target_step = self._target_step(target)
        aim, aim_step, blending = self._blended(target, target_step)
        tracked = track(self._position, self._step, aim, aim_step, self._limits)
        clips |= np.where(tracked.position_clipped, Clip.POSITION, 0).astype(np.uint8)
        clips |= np.where(tracked.velocity_clipped, Clip.VELOCITY, 0).astype(np.uint8)
        clips |= np.where(tracked.acceleration_clipped, Clip.ACCELERATION, 0).astype(np.uint8)
        clips |= np.where(blending, Clip.BLEND, 0).astype(np.uint8)
        step, stopped = self._safe_step(tracked.step)
        clips |= np.where(stopped, Clip.DISTANCE, 0).astype(np.uint8)
        self._target = target
        self._advance(step)
        return Executed(
            self._position.copy(), clips, State.ACTIVE, Hold.NONE, requested, command.stamp_ns,
            self._clearance.distance, self._describe(clips, requested))

    def _refusal(self, command: Command | None, now_ns: int) -> tuple[Hold, str]:
        if self._estop:
            return Hold.ESTOP, f'emergency stop: {self._estop}; release it explicitly'
        if self._fault:
            return Hold.FAULT, f'{self._fault}; reset the robot'
        if command is None:
            return Hold.NO_COMMAND, 'no command received since activation or reset'
        positions = np.asarray(command.positions)
        if positions.shape != (16,):
            return Hold.LAYOUT, f'{positions.size} positions in joint_command; the layout has 16'
        if command.names != COMMAND_NAMES:
            return Hold.LAYOUT, _layout_error(command.names)
        if not np.all(np.isfinite(positions)):
            at = int(np.flatnonzero(~np.isfinite(positions))[0])
            return Hold.NOT_FINITE, f'{COMMAND_NAMES[at]} is {positions[at]} in joint_command'
        age = (now_ns - command.stamp_ns) / 1e9
        if age > self.config.max_command_age:
            return Hold.STALE, (
                f'the newest joint_command is {age:.3f} s old; the limit is '
                f'{self.config.max_command_age} s. Is the arbiter running?')
        if age < -self.config.max_command_future:
            return Hold.FUTURE, (
                f'joint_command is stamped {-age:.3f} s in the future; do both run on one clock?')
        return Hold.NONE, ''

    def _hold(self, hold: Hold, why: str, command: Command | None) -> Executed:
        self._target = None
        self._blend = None
        step = brake(self._step, self._limits.acceleration)
        if self.moving:
            self._clearance = self.proximity.clearance(self._position + step)
        self._advance(step)
        state = State.ESTOP if hold is Hold.ESTOP else State.HOLD
        stamp = 0 if command is None else command.stamp_ns
        return Executed(
            self._position.copy(), np.zeros(16, dtype=np.uint8), state, hold, None, stamp,
            self._clearance.distance, why)

    def _advance(self, step: Array) -> None:
        position = self._position + step
        # Rounding must not leak through a limit; a start outside of one only moves inwards.
        inside = (self._position >= self._limits.lower) & (self._position <= self._limits.upper)
        bounded = np.clip(position, self._limits.lower, self._limits.upper)
        self._position = np.where(inside, bounded, position)
        self._step = step

    def _target_step(self, target: Array) -> Array:
        """Return the target's own motion; none after a hold or a leap, which is no motion."""
        if self._target is None:
            return np.zeros(16)
        step = target - self._target
        return np.where(np.abs(step) <= self._limits.velocity, step, 0.0)

    def _blended(
        self, target: Array, target_step: Array,
    ) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Fade a leap in the command out; returns the aim, its step, and where it differs."""
        last = self._target
        if last is None or np.any(np.abs((target - last)[ARM_INDICES]) > self.config.jump):
            offset = self._position - target
            velocity = (self._step - target_step) / self.period
            # Grippers follow at once; see __init__.
            offset[GRIPPER_INDICES] = 0.0
            velocity[GRIPPER_INDICES] = 0.0
            self._blend = Blend(offset, velocity, self._blend_limits)
            self._blend_time = 0.0
        if self._blend is None:
            return target, target_step, np.zeros(16, dtype=np.bool_)
        before = self._blend.at(self._blend_time)
        self._blend_time += self.period
        after = self._blend.at(self._blend_time)
        if self._blend_time >= self._blend.duration:
            self._blend = None
        aim = np.clip(target + after, self._limits.lower, self._limits.upper)
        return aim, target_step + after - before, np.abs(after) > _STILL

    def _safe_step(self, wanted: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Return the wanted step, or one in which one arm or both brake, and which joints did."""
        braking = brake(self._step, self._limits.acceleration)
        for stopped in _TO_STOP:
            step = np.where(stopped, braking, wanted)
            clearance = self._clearance_while_braking(step)
            if clearance is not None:
                self._clearance = clearance
                return step, stopped
        # Not reached by induction, short of rounding: the last tick has shown braking to be safe.
        self._clearance = self.proximity.clearance(self._position + braking)
        return braking, _TO_STOP[-1]

    def _clearance_while_braking(self, step: Array) -> Clearance | None:
        """Return the clearance after a step; None if it, or braking from it, comes too close.

        A pair that is too close already, as at the start, may not come closer.
        """
        needed = np.minimum(0.0, self._clearance.margins)
        position = self._position + step
        first = self.proximity.clearance(position)
        if np.any(first.margins < needed):
            return None
        # No point of an arm goes farther than the sum of its joints' turns times its reach.
        travel = REACH * float(np.sum(braking_distance(step, self._limits.acceleration)))
        if min(first.worst, LOOK_AHEAD) > travel:
            return first
        while True:
            step = brake(step, self._limits.acceleration)
            if not np.any(np.abs(step) > _STILL):
                return first
            position = position + step
            if np.any(self.proximity.clearance(position).margins < needed):
                return None

    def _describe(self, clips: NDArray[np.uint8], requested: Array) -> str:
        if not clips.any():
            return ''
        parts = []
        for clip in Clip:
            joints = np.flatnonzero(clips & clip)
            if joints.size:
                at = int(joints[0])
                more = f' and {joints.size - 1} more' if joints.size > 1 else ''
                parts.append(f'{clip_name(clip)}: {COMMAND_NAMES[at]}{more} '
                             f'(asked {requested[at]:.3f})')
        if self._clearance.worst < _CLOSE:
            parts.append(
                f'{self._clearance.pair} {self._clearance.distance * 1000:.0f} mm apart')
        return '; '.join(parts)


def _layout_error(names: tuple[str, ...]) -> str:
    if sorted(names) == sorted(COMMAND_NAMES):
        at = next(i for i, (a, b) in enumerate(zip(names, COMMAND_NAMES)) if a != b)
        return (f'joint_command has {names[at]} at place {at}, where {COMMAND_NAMES[at]} belongs; '
                'send the joints in the order of lwd layout')
    unknown = [name for name in names if name not in COMMAND_NAMES]
    missing = [name for name in COMMAND_NAMES if name not in names]
    if unknown:
        return f'joint_command names {unknown[0]}, which is no joint of a command'
    return f'joint_command lacks {missing[0]}' if missing else 'joint_command repeats a joint'
