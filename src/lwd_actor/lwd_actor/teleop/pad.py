# SPDX-License-Identifier: Apache-2.0
"""What the axes and buttons of a pad mean."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from lwd_actor.errors import PadError

Array = NDArray[np.float64]

NONE = -1
"""An axis or button that the pad does not have."""


@dataclass(frozen=True)
class AxisNumbers:
    """Axes of a pad for x, y and z of base_link."""

    x: int = NONE
    """Axis number; -1 for none."""
    y: int = NONE
    """Axis number; -1 for none."""
    z: int = NONE
    """Axis number; -1 for none."""


@dataclass(frozen=True)
class LinearScales:
    """Velocity of the TCP at a full axis; below zero to turn the direction round."""

    x: float = 0.15
    """m/s."""
    y: float = 0.15
    """m/s."""
    z: float = 0.15
    """m/s."""


@dataclass(frozen=True)
class AngularScales:
    """Turning rate of the TCP at a full axis; below zero to turn the direction round."""

    x: float = 0.6
    """rad/s."""
    y: float = 0.6
    """rad/s."""
    z: float = 0.6
    """rad/s."""


@dataclass(frozen=True)
class HandInputs:
    """What moves a hand: a twist of its TCP in base_link, and its gripper."""

    axis_linear: AxisNumbers = field(default_factory=AxisNumbers)
    scale_linear: LinearScales = field(default_factory=LinearScales)
    axis_angular: AxisNumbers = field(default_factory=AxisNumbers)
    scale_angular: AngularScales = field(default_factory=AngularScales)
    axis_gripper: int = NONE
    """Axis that closes the gripper, and opens it below zero; -1 for none."""
    scale_gripper: float = 2.0
    """Change of the gripper's closure at a full axis or a held button, 1/s."""
    close_button: int = NONE
    """Closes the gripper while held."""
    open_button: int = NONE
    """Opens the gripper while held."""
    toggle_button: int = NONE
    """Closes an open gripper, opens a closed one."""


@dataclass(frozen=True)
class HandDemand:
    """What a hand is asked to do."""

    twist: Array = field(default_factory=lambda: np.zeros(6))
    """(6,) m/s, then rad/s, base_link."""
    gripper: float = 0.0
    """Change of the closure, 1/s."""


@dataclass(frozen=True)
class PadConfig:
    """One pad: which axis and which button does what. -1 stands for none."""

    device: str = 'pad'
    """Its name, recorded with every intervention."""
    axes: int = 0
    """How many axes its joy messages have."""
    buttons: int = 0
    """How many buttons its joy messages have."""
    deadzone: float = field(default=0.05, metadata={'range': (0.0, 0.9)})
    """Part of an axis' way around its rest that counts as rest."""
    require_enable_button: bool = True
    """Move only while the enable button (dead man) is held."""
    enable_button: int = NONE
    """The dead man."""
    take_over_button: int = NONE
    """Takes over, with the enable button held; -1: the enable button itself takes over."""
    hand_back_button: int = NONE
    """Hands back to the policy; -1: letting go of the enable button hands back."""
    arm: str = field(default='right', metadata={'choices': ('left', 'right', 'both')})
    """Which hands `selected` moves at first; both move as one rigid body."""
    select_button: int = NONE
    """Goes on from left to right to both."""
    success_button: int = NONE
    """Says that the episode was a success; with the enable button held."""
    failure_button: int = NONE
    """Says that it failed; with the enable button held."""
    reset_button: int = NONE
    """Asks for a new scene, or the home pose of a real robot; with the enable button held."""
    estop_button: int = NONE
    """Emergency stop, whoever is in control and whether enabled or not."""
    stuck_button: int = NONE
    """Says why: the policy is stuck. Without such a button the reason is the operator's own."""
    dropped_button: int = NONE
    """Says why: something was dropped."""
    wrong_object_button: int = NONE
    """Says why: the policy handles the wrong object."""
    unsafe_button: int = NONE
    """Says why: it is unsafe."""
    selected: HandInputs = field(default_factory=HandInputs)
    """Moves the hands that are selected."""
    left: HandInputs = field(default_factory=HandInputs)
    """Moves the left hand, whichever is selected."""
    right: HandInputs = field(default_factory=HandInputs)
    """Moves the right hand, whichever is selected."""

    def __post_init__(self) -> None:
        for count, kind in ((self.axes, 'axes'), (self.buttons, 'buttons')):
            if count < 1:
                raise PadError(f'{kind} is {count}; say how many the device has, at least 1')
        _check_numbers('axis', _axes(self), self.axes)
        _check_numbers('button', _buttons(self), self.buttons)
        if self.require_enable_button and self.enable_button == NONE:
            raise PadError(
                'require_enable_button is true, but enable_button is -1; name the dead-man '
                'button, or set require_enable_button to false')
        for name in ('take_over_button', 'hand_back_button'):
            if getattr(self, name) == NONE and self.enable_button == NONE:
                raise PadError(f'{name} and enable_button are both -1; one of them must be a '
                               'button, or nobody can take over and hand back')

    def check(self, axes: Sequence[float], buttons: Sequence[int]) -> None:
        """Refuse what another device sent.

        Raises:
            PadError: It has other axes or buttons, or values that no pad sends.
        """
        for have, want, kind in ((len(axes), self.axes, 'axes'),
                                 (len(buttons), self.buttons, 'buttons')):
            if have != want:
                raise PadError(
                    f'joy has {have} {kind}, pad {self.device!r} has {want}; is it another '
                    f'device, or should its file say {kind}: {have}?')
        for i, value in enumerate(axes):
            if not -1.001 <= value <= 1.001:
                raise PadError(f'axis {i} of joy is {value}; it must be in -1 .. 1')

    def demand(
        self, inputs: HandInputs, axes: Sequence[float], buttons: Sequence[int],
    ) -> HandDemand:
        """Return what a hand's inputs ask for."""
        numbers = _numbers(inputs)
        scales = [getattr(group, at) for group in (inputs.scale_linear, inputs.scale_angular)
                  for at in 'xyz']
        twist = np.array([
            scale * self._axis(axes, number) for number, scale in zip(numbers, scales)])
        direction = self._axis(axes, inputs.axis_gripper)
        direction += _held(buttons, inputs.close_button) - _held(buttons, inputs.open_button)
        return HandDemand(twist, inputs.scale_gripper * float(np.clip(direction, -1.0, 1.0)))

    def _axis(self, axes: Sequence[float], number: int) -> float:
        if number == NONE:
            return 0.0
        value = float(axes[number])
        beyond = max(0.0, abs(value) - self.deadzone) / (1.0 - self.deadzone)
        return float(np.copysign(min(beyond, 1.0), value))


def _numbers(inputs: HandInputs) -> list[int]:
    return [getattr(group, at) for group in (inputs.axis_linear, inputs.axis_angular)
            for at in 'xyz']


def _held(buttons: Sequence[int], number: int) -> bool:
    return number != NONE and bool(buttons[number])


def _axes(pad: PadConfig) -> Iterator[tuple[str, int]]:
    for hand in ('selected', 'left', 'right'):
        inputs = getattr(pad, hand)
        names = [f'axis_{kind}.{at}' for kind in ('linear', 'angular') for at in 'xyz']
        for name, number in zip([*names, 'axis_gripper'],
                                [*_numbers(inputs), inputs.axis_gripper]):
            yield f'{hand}.{name}', number


def _buttons(pad: PadConfig) -> Iterator[tuple[str, int]]:
    for item in fields(pad):
        if item.name.endswith('_button') and item.name != 'require_enable_button':
            yield item.name, getattr(pad, item.name)
    for hand in ('selected', 'left', 'right'):
        for name in ('close_button', 'open_button', 'toggle_button'):
            yield f'{hand}.{name}', getattr(getattr(pad, hand), name)


def _check_numbers(kind: str, numbers: Iterator[tuple[str, int]], count: int) -> None:
    used = [(name, number) for name, number in numbers if number != NONE]
    for name, number in used:
        if not 0 <= number < count:
            raise PadError(f'{name} is {kind} {number}, but the device has {count}: 0 to '
                           f'{count - 1}, or -1 for none')
    for (first, one), (second, other) in itertools.combinations(used, 2):
        if one == other:
            raise PadError(f'{first} and {second} are both {kind} {one}; give each its own')
