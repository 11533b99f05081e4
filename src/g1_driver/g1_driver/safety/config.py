# SPDX-License-Identifier: Apache-2.0
"""Settings of the safety filter."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from g1_driver.errors import ConfigurationError


@dataclass(frozen=True)
class SafetyConfig:
    """Limits that hold for every command, whoever sends it."""

    position_margin: float = 0.02
    """Distance kept from every arm joint's limit, rad."""
    arm_velocity: float = 2.0
    """Limit of an arm joint, rad/s; operators stream at 2.0, the motors reach 3.14."""
    arm_acceleration: float = 10.0
    """Limit of an arm joint, rad/s^2."""
    gripper_velocity: float = 4.0
    """Limit of a gripper's closure, 1/s."""
    gripper_acceleration: float = 40.0
    """Limit of a gripper's closure, 1/s^2."""
    jump: float = 0.15
    """A command that leaps by more than this in one tick is blended in, rad."""
    blend_velocity: float = 1.0
    """Limit of the blend after a jump, a take-over or a hold, rad/s."""
    blend_acceleration: float = 4.0
    """Limit of the blend, rad/s^2."""
    blend_jerk: float = 20.0
    """Limit of the blend, rad/s^3."""
    min_distance: float = 0.02
    """Smallest distance between bodies of the robot that may not touch, m."""
    min_table_distance: float = 0.003
    """Smallest distance of the hands and forearms from keep-out boxes such as the table, m."""
    max_command_age: float = 0.2
    """Older commands are not followed: the robot holds, s."""
    max_command_future: float = 0.05
    """Commands stamped later than the driver's clock by more than this are refused, s."""
    max_state_jump: float = 0.5
    """A measured joint that leaps by more than this in one tick is a fault, rad."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not math.isfinite(value) or value <= 0.0:
                raise ConfigurationError(
                    f'safety.{field.name} is {value}; it must be a finite number above 0')
