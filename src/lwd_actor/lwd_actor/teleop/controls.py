# SPDX-License-Identifier: Apache-2.0
"""The buttons of a pad as a state: who wants control, who is enabled, what was said."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from lwd_actor.errors import PadError
from lwd_actor.reasons import Reason
from lwd_actor.teleop.pad import NONE, PadConfig

_ARMS = ('left', 'right', 'both')


class Event(enum.Enum):
    """What a button said, once each time it is pressed."""

    SUCCESS = 'success'
    FAILURE = 'failure'
    RESET = 'reset'
    ESTOP = 'estop'


class Controls:
    """Follows a pad's joy messages.

    A pad that was lost, or is heard for the first time, or has stopped the robot, counts as
    enabled only after its enable button was seen released: no button that sticks, and no old
    message, moves the robot. A pad that is lost, or comes back, neither takes over nor hands back
    by that: the robot holds until somebody presses something.
    """

    def __init__(self, pad: PadConfig, *, timeout: float) -> None:
        """Follow a pad.

        Args:
            pad: What its buttons mean.
            timeout: Age from which on the newest message counts as lost, s.
        """
        self.pad = pad
        self._timeout_ns = round(timeout * 1e9)
        self._arm = _ARMS.index(pad.arm)
        self.trouble = ''
        """Why the newest message was refused; empty if it was not."""
        self.wants_control = False
        self.reason = Reason.NONE
        self.axes: tuple[float, ...] = (0.0,) * pad.axes
        self.buttons: tuple[int, ...] = (0,) * pad.buttons
        self._down: frozenset[int] = frozenset()
        self._stops = False
        self._enabled = False
        self._locked = True
        self._heard_ns: int | None = None
        self._events: list[Event] = []
        self._toggled: set[int] = set()

    @property
    def arm(self) -> str:
        """The selected hands: left, right or both."""
        return _ARMS[self._arm]

    def lost(self, now_ns: int) -> bool:
        """Whether the pad was not heard for too long, or never."""
        return self._heard_ns is None or now_ns - self._heard_ns > self._timeout_ns

    def enabled(self, now_ns: int) -> bool:
        """Whether the pad may move the robot now."""
        return self._enabled and not self.lost(now_ns)

    def take(self, axes: Sequence[float], buttons: Sequence[int], now_ns: int) -> None:
        """Take a joy message.

        Args:
            axes: Its axes.
            buttons: Its buttons.
            now_ns: When it came, in the robot's time.

        Raises:
            PadError: It is of another device; it does not count as heard.
        """
        try:
            self.pad.check(axes, buttons)
        except PadError as error:
            self.trouble = str(error)
            raise
        self.trouble = ''
        down = frozenset(i for i, value in enumerate(buttons) if value)
        if self.lost(now_ns):
            # What was pressed meanwhile, nobody saw: no edges.
            self._locked, self._down = True, down
        self._heard_ns = now_ns
        self.axes, self.buttons = tuple(axes), tuple(buttons)
        fresh, gone, self._down = down - self._down, self._down - down, down
        pad = self.pad
        stops_before, self._stops = self._stops, pad.estop_button in down
        if self._stops and not stops_before:
            self._events.append(Event.ESTOP)
            self._locked = True
        self._enabled = self._enable(down)
        if self._enabled:
            self._speak(fresh)
            taking = pad.enable_button if pad.take_over_button == NONE else pad.take_over_button
            if taking in fresh and not self.wants_control:
                self.wants_control, self.reason = True, Reason.OPERATOR
        returning = pad.enable_button in gone if pad.hand_back_button == NONE else (
            pad.hand_back_button in fresh)
        if returning:
            self.wants_control, self.reason = False, Reason.NONE
        self._say_why(down)

    def lock(self) -> None:
        """Stop moving until the enable button was released and pressed again."""
        self._locked, self._enabled = True, False

    def hand_back(self) -> None:
        """Give up control, as at the end of an episode; the enable button must be released."""
        self.wants_control, self.reason = False, Reason.NONE
        self._toggled.clear()
        self.lock()

    def events(self) -> list[Event]:
        """Return what buttons said since the last call."""
        said, self._events = self._events, []
        return said

    def toggled(self, button: int) -> bool:
        """Return whether a toggle was pressed since the last call."""
        found = button in self._toggled
        self._toggled.discard(button)
        return found

    def _enable(self, down: frozenset[int]) -> bool:
        pad = self.pad
        if not pad.require_enable_button:
            # Without a dead man the sticks themselves must have been let go.
            if max(map(abs, self.axes)) <= max(pad.deadzone, 1e-6):
                self._locked = False
            return not self._locked
        if pad.enable_button not in down:
            self._locked = False
            return False
        return not self._locked

    def _speak(self, fresh: frozenset[int]) -> None:
        pad = self.pad
        for button, event in ((pad.success_button, Event.SUCCESS),
                              (pad.failure_button, Event.FAILURE),
                              (pad.reset_button, Event.RESET)):
            if button in fresh:
                self._events.append(event)
        if pad.select_button in fresh:
            self._arm = (self._arm + 1) % len(_ARMS)
        self._toggled |= fresh

    def _say_why(self, down: frozenset[int]) -> None:
        pad = self.pad
        if not self.wants_control:
            return
        for button, reason in ((pad.stuck_button, Reason.STUCK),
                               (pad.dropped_button, Reason.DROPPED),
                               (pad.wrong_object_button, Reason.WRONG_OBJECT),
                               (pad.unsafe_button, Reason.UNSAFE)):
            if button in down:
                self.reason = reason
