# SPDX-License-Identifier: Apache-2.0
"""Settings of the safety filter."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

from g1_driver.errors import ConfigurationError
from g1_sim.scene import Box

BOX_NUMBERS = 6


def _within(default: float, low: float, high: float) -> float:
    """Return a field with a range: a limit that is too wide is no limit."""
    value: float = field(default=default, metadata={'range': (low, high)})
    return value


@dataclass(frozen=True)
class SafetyConfig:
    """Limits that hold for every command, whoever sends it."""

    position_margin: float = _within(0.02, 0.001, 0.3)
    """Distance kept from every arm joint's limit, rad."""
    arm_velocity: float = _within(2.0, 0.01, 3.14)
    """Limit of an arm joint, rad/s; operators stream at 2.0, the motors reach 3.14."""
    arm_acceleration: float = _within(10.0, 0.1, 40.0)
    """Limit of an arm joint, rad/s^2."""
    gripper_velocity: float = _within(2.0, 0.01, 2.0)
    """Limit of a gripper's closure, 1/s."""
    gripper_acceleration: float = _within(40.0, 0.1, 100.0)
    """Limit of a gripper's closure, 1/s^2."""
    jump: float = _within(0.15, 0.005, 0.5)
    """A command that leaps by more than this in one tick is blended in, rad."""
    blend_velocity: float = _within(1.0, 0.01, 3.14)
    """Limit of the blend after a jump, a take-over or a hold, rad/s."""
    blend_acceleration: float = _within(4.0, 0.1, 40.0)
    """Limit of the blend, rad/s^2."""
    blend_jerk: float = _within(20.0, 0.5, 500.0)
    """Limit of the blend, rad/s^3."""
    min_distance: float = _within(0.02, 0.002, 0.2)
    """Smallest distance between bodies of the robot that may not touch, m."""
    min_table_distance: float = _within(0.003, 0.001, 0.2)
    """Smallest distance of hands and forearms from keep-out boxes such as the table, m."""
    keep_out: tuple[float, ...] = ()
    """More keep-out boxes, six numbers each: centre x y z, half size x y z, m, base_link."""
    max_command_age: float = _within(0.2, 0.034, 1.0)
    """Older commands are not followed: the robot holds, s."""
    max_command_future: float = _within(0.05, 0.001, 1.0)
    """Commands stamped later than the driver's clock by more than this are refused, s."""
    max_state_jump: float = _within(0.5, 0.02, 1.5)
    """A measured joint that leaps by more than this between two samples is a fault, rad."""
    max_following_error: float = _within(0.6, 0.02, 1.5)
    """An arm joint that stays this far from its target for half a second is a fault, rad."""

    def __post_init__(self) -> None:
        for item in fields(self):
            if item.name == 'keep_out':
                continue
            value, (low, high) = getattr(self, item.name), item.metadata['range']
            if not math.isfinite(value) or not low <= value <= high:
                raise ConfigurationError(
                    f'safety.{item.name} is {value}; it must be in {low:g} .. {high:g}')
        if len(self.keep_out) % BOX_NUMBERS:
            raise ConfigurationError(
                f'safety.keep_out has {len(self.keep_out)} numbers; each box takes {BOX_NUMBERS}')
        for i, box in enumerate(self.boxes()):
            if not all(map(math.isfinite, (*box.centre, *box.half))) or min(box.half) <= 0.0:
                raise ConfigurationError(
                    f'safety.keep_out: box {i} has centre {box.centre} and half size {box.half}; '
                    'they must be finite, half sizes above 0')

    def boxes(self) -> list[Box]:
        """Return the configured keep-out boxes."""
        numbers = self.keep_out
        return [
            Box((numbers[i], numbers[i + 1], numbers[i + 2]),
                (numbers[i + 3], numbers[i + 4], numbers[i + 5]))
            for i in range(0, len(numbers), BOX_NUMBERS)]
