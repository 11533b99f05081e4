# SPDX-License-Identifier: Apache-2.0
"""The thread that owns the robot: it ticks while active and does jobs in between.

Everything that touches the robot runs here: graphics contexts belong to one thread, and nothing
may come between an observation and its command. Other threads hand jobs over with `call`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any, Protocol, TypeVar

from g1_driver.commands import Command, Executed, State
from g1_driver.errors import DriverError
from g1_driver.loop import RATE, SUBSTEPS, ControlLoop, Observation

T = TypeVar('T')

_CALL_TIMEOUT = 30.0
_STOP_PATIENCE = 0.2
# A publisher keeps the last hundred messages for whoever is slow, and joint states come four a
# tick.
_LEAD = 20
_ENDED = 'the control loop has ended; restart the driver'
# Left for filter and sending, out of the substep within which a command must come, s.
_RESERVE = 0.001


class Listener(Protocol):
    """Who is told what happens; called in the loop's thread."""

    def observed(self, observation: Observation) -> None:
        """A tick began."""

    def decided(self, observation: Observation, executed: Executed) -> None:
        """Its command is known; it is streamed next."""

    def stepped(self, observation: Observation) -> None:
        """The control step has ended."""

    def failed(self, error: BaseException) -> None:
        """The thread ends; the robot was halted."""


class LoopThread:
    """Runs a control loop."""

    def __init__(
        self, loop: ControlLoop, listener: Listener, *, lockstep_timeout: float | None,
    ) -> None:
        """Make the thread; `start` starts it.

        Args:
            loop: The loop; from now on only the thread touches it.
            listener: Who is told.
            lockstep_timeout: How long a tick waits for its command, s of wall time; None in real
                time, where it waits for a fraction of the period.
        """
        self.loop = loop
        self._listener = listener
        self._lockstep_timeout = lockstep_timeout
        # Guards everything below it; notified when a command or a job comes.
        self._changed = threading.Condition()
        self._jobs: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._command: Command | None = None
        self._not_before_ns = -1
        self._observed_ns = -1
        self._awaited = False
        self._recorded: int | None = None
        self._active = False
        self._stopping = False
        self._idle: threading.Event | None = None
        self._stop_seen = threading.Event()
        self.missed = 0
        """Ticks whose own command did not come in time."""
        self._thread = threading.Thread(target=self._run, name='control loop', daemon=True)

    def start(self) -> None:
        """Start the thread, inactive."""
        self._thread.start()

    def offer(self, command: Command) -> None:
        """Take a command that came in; one from before the last reset is dropped."""
        with self._changed:
            if command.stamp_ns >= self._not_before_ns:
                self._command = command
                self._changed.notify_all()

    def expect_commands(self, expected: bool) -> None:
        """Say whether anybody sends commands; without, lockstep does not wait its full time."""
        with self._changed:
            self._awaited = expected

    def recorded(self, tick: int) -> None:
        """Take how far a recorder has come: in lockstep it is not left far behind."""
        with self._changed:
            self._recorded = tick
            self._changed.notify_all()

    def call(self, job: Callable[[], T]) -> T:
        """Run a job in the thread, between ticks, and return what it returns.

        Raises:
            DriverError: The thread has ended, or is stuck.
            Whatever the job raises.
        """
        future: Future[T] = Future()
        with self._changed:
            if not self.alive:
                raise DriverError(_ENDED)
            self._jobs.append((job, future))
            self._changed.notify_all()
        try:
            return future.result(timeout=_CALL_TIMEOUT)
        except CancelledError as error:
            raise DriverError(_ENDED) from error
        except TimeoutError as error:
            raise DriverError(
                f'the control loop has not answered for {_CALL_TIMEOUT:g} s; a call to the robot '
                'hangs. Restart the driver') from error

    @property
    def alive(self) -> bool:
        """Whether the thread runs and takes jobs."""
        return self._thread.is_alive() and not self._stopping

    @property
    def active(self) -> bool:
        """Whether it ticks."""
        return self._active

    def activate(self) -> None:
        """Begin to tick; commands from before do not count."""
        self.call(self._activate)

    def deactivate(self) -> None:
        """Brake to a stop, then cease to tick."""
        idle = threading.Event()
        self.call(lambda: self._wind_down_then(idle))
        if not idle.wait(_CALL_TIMEOUT):
            raise DriverError('the control loop does not come to a stop; restart the driver')

    def estop(self, why: str) -> None:
        """Latch the emergency stop, from any thread; halt the robot if no tick answers it."""
        self._stop_seen.clear()
        self.loop.estop(why)
        if self._active and not self._stop_seen.wait(_STOP_PATIENCE):
            self.loop.robot.halt()

    def release_estop(self) -> None:
        """Release the emergency stop; what was commanded before does not count."""
        def release() -> None:
            self.loop.release_estop()
            self._forget_commands()

        self.call(release)

    def stop(self) -> None:
        """Brake to a stop if active, let go of the robot, end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(_CALL_TIMEOUT)

    def scene_changed(self) -> None:
        """Forget commands from before a reset. Runs in the thread."""
        self.loop.scene_changed()
        self._forget_commands()

    def _forget_commands(self) -> None:
        with self._changed:
            self._command = None
            self._not_before_ns = self._observed_ns + 1

    def _activate(self) -> None:
        # Only a robot whose position is known becomes active.
        self.loop.resume()
        self._forget_commands()
        self._active = True

    def _wind_down_then(self, idle: threading.Event) -> None:
        if self._active:
            self._idle = idle
        else:
            idle.set()

    def _wind_down(self) -> None:
        while self._active and self.loop.filter.moving:
            observation = self.loop.observe()
            self._observed_ns = observation.stamp_ns
            self._listener.observed(observation)
            executed = self.loop.decide(None)
            self._listener.decided(observation, executed)
            self.loop.stream(executed)
        self._active = False

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._do_jobs()
                if self._idle is not None:
                    self._wind_down()
                    self._idle.set()
                    self._idle = None
                elif self._active:
                    self._tick()
                else:
                    with self._changed:
                        self._changed.wait_for(lambda: self._jobs or self._stopping)
            self._wind_down()
        except BaseException as error:  # noqa: BLE001  whatever it is: halt the robot, then tell
            self._stopping = True
            self._end_after(error)
        finally:
            self._active = False
            self.loop.robot.close()
            with self._changed:
                for _, future in self._jobs:
                    future.cancel()
                self._jobs.clear()

    def _end_after(self, error: BaseException) -> None:
        try:
            self.loop.robot.halt()
        except Exception as second:  # noqa: BLE001  the first error is what must be told
            error.add_note(f'halting the robot failed as well: {second}')
        finally:
            self._listener.failed(error)

    def _do_jobs(self) -> None:
        while True:
            with self._changed:
                if not self._jobs:
                    return
                job, future = self._jobs.popleft()
            try:
                future.set_result(job())
            except Exception as error:  # noqa: BLE001  belongs to the caller
                future.set_exception(error)

    def _await_recorder(self) -> bool:
        """Let a recorder catch up; False if there is something else to do first."""
        if self._lockstep_timeout is None:
            return True
        with self._changed:
            done = self._changed.wait_for(
                lambda: self._jobs or self._stopping or self._recorded is None
                or self.loop.tick - self._recorded < _LEAD, timeout=self._lockstep_timeout)
            if not done:
                # It has died; another one will be heard.
                self._recorded = None
            return not self._jobs and not self._stopping

    def _tick(self) -> None:
        if not self._await_recorder():
            return
        observation = self.loop.observe()
        self._observed_ns = observation.stamp_ns
        self._listener.observed(observation)
        if not self._wait(observation):
            # Overtaken by a reset or a deactivation: answered without what may have been asked.
            executed = self.loop.decide(None)
            self._listener.decided(observation, executed)
            if self._idle is None:
                self.loop.skip()
            else:
                self.loop.stream(executed)
            return
        with self._changed:
            command = self._command
        if command is None or command.stamp_ns != observation.stamp_ns:
            self.missed += 1
        executed = self.loop.decide(command)
        if executed.state is State.ESTOP:
            self._stop_seen.set()
        self._listener.decided(observation, executed)
        self.loop.stream(executed)
        self._listener.stepped(observation)

    def _wait(self, observation: Observation) -> bool:
        """Wait for the tick's command, doing jobs meanwhile; False if the tick was overtaken."""
        deadline = time.monotonic() + self._patience()
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._jobs or self._stopping or (
                        self._command is not None
                        and self._command.stamp_ns >= observation.stamp_ns),
                    timeout=max(0.0, deadline - time.monotonic()))
                waiting = bool(self._jobs) and not self._stopping
            if not waiting:
                return True
            self._do_jobs()
            if self._idle is not None or self.loop.reset_count != observation.reset_count:
                return False

    def _patience(self) -> float:
        if self._lockstep_timeout is None:
            return 1.0 / (RATE * SUBSTEPS) - self.loop.age_of_tick - _RESERVE
        return self._lockstep_timeout if self._awaited else 1.0 / RATE
