# SPDX-License-Identifier: Apache-2.0
"""The control loop: observe, decide elsewhere, act; thirty times a second.

The same loop runs a robot under ROS and thousands of simulated episodes in one process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from g1_description.joints import ARM_INDICES, COMMAND_NAMES, GRIPPER_INDICES
from g1_driver.clock import Clock
from g1_driver.commands import Command, Executed, State
from g1_driver.errors import ResetError, RobotFaultError
from g1_driver.robot import Frame, JointSample, Robot
from g1_driver.safety.config import SafetyConfig
from g1_driver.safety.filter import SafetyFilter
from g1_driver.safety.proximity import ProximityModel

Array = NDArray[np.float64]

RATE = 30
SUBSTEPS = 4
"""Targets are streamed, and joints are read, at 120 Hz: four times a control step."""
_ARRIVED = 1e-3
_FOLLOWING_SAMPLES = RATE * SUBSTEPS // 2


@dataclass(frozen=True)
class Observation:
    """What the robot sees at a tick."""

    tick: int
    stamp_ns: int
    joints: JointSample
    frames: list[Frame]
    reset_count: int
    sent: Array
    """(16,) the command that was executed in the tick before; at the first one, and after a reset,
    the measured joints."""


class ControlLoop:
    """Ticks. Call `observe` and `act` in turn, from one thread."""

    def __init__(
        self, robot: Robot, safety: SafetyConfig, clock: Clock, *,
        on_state: Callable[[JointSample], None] | None = None,
    ) -> None:
        """Set the loop up; `start` connects.

        Args:
            robot: The robot.
            safety: Limits for the filter.
            clock: Wall time, or virtual time for lockstep.
            on_state: Called with every joint sample between ticks.
        """
        self.robot = robot
        self.clock = clock
        self.tick = -1
        self.reset_count = 0
        self.overruns = 0
        """Ticks that began late by more than a substep."""
        self._config = safety
        self._on_state = on_state
        self._period_ns = round(1e9 / RATE)
        self._due_ns = 0
        self._last: JointSample | None = None
        self._home: Array | None = None
        self._sent = np.zeros(16)
        self._began = False
        self._following = 0

    def start(self) -> None:
        """Connect to the robot and take its position; nothing moves.

        Raises:
            DriverError: The robot is not there, or not as configured.
        """
        self.robot.connect()
        sample = self.robot.read_state()
        self.filter = SafetyFilter(
            self._config, self._proximity(sample), period=1.0 / RATE)
        self._restart(sample)
        self._due_ns = self.clock.now_ns() + self._period_ns
        self.tick = -1

    def _proximity(self, sample: JointSample) -> ProximityModel:
        return ProximityModel(
            self._config, posture=sample.positions[16:], keep_out=self.robot.keep_out)

    def _restart(self, sample: JointSample, *, keep_grip: bool = False) -> None:
        self._last = sample
        self._home = None
        self._following = 0
        start = sample.positions[:16].copy()
        if keep_grip:
            # A gripper that holds something is less closed than it was told to: do not let go.
            start[GRIPPER_INDICES] = self._sent[GRIPPER_INDICES]
        self.filter.reset(start)
        self._sent, self._began = start, False

    def scene_changed(self) -> None:
        """Take the position of a robot that was just reset or re-posed."""
        sample = self.robot.read_state()
        self.filter.proximity = self._proximity(sample)
        self._restart(sample)
        self.reset_count += 1

    def observe(self) -> Observation:
        """Wait for the next tick and return what the robot sees.

        A state that is lost or implausible does not end the loop: it makes the filter hold until
        a reset, and the last good sample is returned.
        """
        late = self.clock.now_ns() - self._due_ns
        if late > self._period_ns // SUBSTEPS:
            self.overruns += 1
            # Catch up with the schedule, but never by rushing ticks.
            self._due_ns += late
        self.clock.wait_until(self._due_ns)
        self.tick += 1
        sample = self._read()
        return Observation(
            self.tick, self._due_ns, sample, self.robot.read_frames(), self.reset_count,
            self._sent.copy() if self._began else sample.positions[:16].copy())

    def _read(self) -> JointSample:
        assert self._last is not None  # noqa: S101  start() has set it
        try:
            sample = self.robot.read_state()
        except RobotFaultError as error:
            self.filter.fault(str(error))
            return self._last
        jump = np.abs(sample.positions[:16] - self._last.positions[:16])
        worst = int(np.argmax(jump))
        if not np.all(np.isfinite(sample.positions)):
            self.filter.fault('the measured joint state is not finite')
            return self._last
        if jump[worst] > self._config.max_state_jump:
            self.filter.fault(
                f'{COMMAND_NAMES[worst]} leapt by {jump[worst]:.2f} from one sample to the next; '
                f'the limit is {self._config.max_state_jump}')
            return self._last
        self._check_following(sample)
        self._last = sample
        return sample

    def _check_following(self, sample: JointSample) -> None:
        """Fault if an arm has not followed for a while: blocked, or the SDK means other units."""
        error = np.abs(sample.positions[:16] - self._sent)[ARM_INDICES]
        worst = int(np.argmax(error))
        late = error[worst] > self._config.max_following_error
        self._following = self._following + 1 if late else 0
        if self._following > _FOLLOWING_SAMPLES:
            self.filter.fault(
                f'{COMMAND_NAMES[ARM_INDICES[worst]]} is {error[worst]:.2f} rad from its target '
                f'and does not follow; the limit is {self._config.max_following_error} rad. Is it '
                'blocked, or does the SDK mean other units?')

    def act(self, command: Command | None) -> Executed:
        """Filter a command and stream it to the robot until just before the next tick.

        Args:
            command: The newest command there is; None if there never was one.
        """
        executed = self.decide(command)
        self.stream(executed)
        return executed

    def decide(self, command: Command | None) -> Executed:
        """Return what this tick will send."""
        now = self._due_ns if self.clock.virtual else self.clock.now_ns()
        if self._home is None:
            return self.filter.step(command, now_ns=now)
        executed = self.filter.step(Command(self._home, now), now_ns=now)
        if executed.state is State.ACTIVE:
            executed = replace(executed, state=State.HOMING, requested=None)
        arrived = np.max(np.abs(executed.positions - self._home)) < _ARRIVED
        if arrived and not self.filter.moving:
            self._home = None
        return executed

    def stream(self, executed: Executed) -> None:
        """Send a decision to the robot in substeps."""
        start = self._sent
        substep = self._period_ns / SUBSTEPS
        for i in range(1, SUBSTEPS + 1):
            moment = self._due_ns + round(i * substep)
            self.clock.wait_until(moment)
            self.robot.send(start + (executed.positions - start) * (i / SUBSTEPS))
            self.robot.advance(1.0 / (RATE * SUBSTEPS))
            if i < SUBSTEPS and self._on_state is not None:
                self._on_state(self._read())
        self._sent, self._began = executed.positions, True
        self._due_ns += self._period_ns

    def skip(self) -> None:
        """Give up the present tick without moving."""
        self._due_ns += self._period_ns

    def resume(self) -> None:
        """Take up ticking after a pause, from where the robot is now.

        Raises:
            RobotFaultError: The robot's state cannot be had.
        """
        sample = self.robot.read_state()
        self.filter.proximity = self._proximity(sample)
        self._restart(sample, keep_grip=True)
        self._due_ns = max(self._due_ns, self.clock.now_ns())

    def estop(self, why: str) -> None:
        """Latch the emergency stop: the filter brakes, then stands still until released.

        May be called from any thread: it only sets what the next tick looks at.
        """
        self.filter.estop(why)

    def release_estop(self) -> None:
        """Release the emergency stop from where the robot is now; nothing moves by itself.

        Raises:
            ResetError: It is still braking.
            RobotFaultError: The robot's state cannot be had.
        """
        if self.filter.moving:
            raise ResetError('still braking after the emergency stop; release it again')
        sample = self.robot.read_state()
        start = sample.positions[:16].copy()
        start[GRIPPER_INDICES] = self._sent[GRIPPER_INDICES]
        self.filter.release(start)
        self._last, self._sent, self._home, self._following = sample, start, None, 0

    def go_home(self, home: Array) -> None:
        """Move to a pose, (16,), through the filter; commands wait until it is reached.

        Clears a fault if the robot's state can be had again.

        Raises:
            ResetError: The emergency stop is latched.
            RobotFaultError: The robot's state still cannot be had.
        """
        if self.filter.estopped:
            raise ResetError(
                f'emergency stop: {self.filter.stop_reason}; release it before a reset')
        if self.filter.faulted:
            self._restart(self.robot.read_state(), keep_grip=True)
        self._home = home

    @property
    def homing(self) -> bool:
        """Whether the robot is on its way home."""
        return self._home is not None

    @property
    def age_of_tick(self) -> float:
        """Seconds since the tick that `observe` returned was due; 0 in virtual time."""
        if self.clock.virtual:
            return 0.0
        return max(0.0, (self.clock.now_ns() - self._due_ns) / 1e9)
