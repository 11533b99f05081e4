# SPDX-License-Identifier: Apache-2.0
"""Settings of teleoperation."""

from __future__ import annotations

from dataclasses import dataclass, field

JOY, LEADER = 'joy', 'leader'


@dataclass(frozen=True)
class TeleopConfig:
    """How joint targets follow the operator."""

    mode: str = field(default=JOY, metadata={'choices': (JOY, LEADER)})
    """joy: the pad's axes move the hands. leader: the arms follow a second pair of arms, and the
    pad has only its buttons to say."""
    joy_timeout: float = field(default=0.3, metadata={'range': (0.05, 5.0)})
    """A pad not heard for so long is lost and the robot holds, s; joy_node repeats at 20 Hz."""
    joint_velocity: float = field(default=1.8, metadata={'range': (0.05, 3.14)})
    """Limit of an arm joint, rad/s; leave it below the driver's safety.arm_velocity."""
    joint_acceleration: float = field(default=9.0, metadata={'range': (0.5, 40.0)})
    """Limit of an arm joint, rad/s^2; leave it below the driver's safety.arm_acceleration."""
    gripper_velocity: float = field(default=1.9, metadata={'range': (0.05, 2.0)})
    """Limit of a gripper's closure, 1/s; leave it below the driver's safety.gripper_velocity."""
    leash: float = field(default=0.2, metadata={'range': (0.02, 1.0)})
    """How far a target may be ahead of what the driver sent, rad: what the safety filter holds
    back must not pile up."""
    leader_topic: str = 'leader/joint_states'
    """Joint states of the leader arms, with the robot's joint names."""
    leader_timeout: float = field(default=0.2, metadata={'range': (0.02, 5.0)})
    """Leader arms not heard for so long are lost and the robot holds, s."""
