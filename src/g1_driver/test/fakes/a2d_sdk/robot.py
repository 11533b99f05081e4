# SPDX-License-Identifier: Apache-2.0
"""The calls of a2d_sdk.robot over a kinematic robot that moves in real time.

Its joints follow their targets at the motors' speed. `world` sets what a test wants to be
otherwise: units, silence, swapped numbers. Shapes, tuples and stamps are those of public code that
uses the SDK.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np

HOME = [-1.074, 0.611, 0.281, -1.284, 0.72, 1.495, -0.186,
        1.074, -0.611, -0.281, 1.284, -0.72, -1.495, 0.186]
MOTOR_SPEED = 3.14


@dataclass
class World:
    arms: np.ndarray = field(default_factory=lambda: np.array(HOME))
    targets: np.ndarray = field(default_factory=lambda: np.array(HOME))
    closure: np.ndarray = field(default_factory=lambda: np.zeros(2))
    head: list[float] = field(default_factory=lambda: [0.0, 0.45])
    waist: list[float] = field(default_factory=lambda: [0.5, 0.02])
    degrees: bool = False
    centimetres: bool = False
    raw_grippers: bool = True
    closed_at: float = 1.0
    arms_in_degrees: bool = False
    bare_lists: bool = False
    arm_count: int = 14
    silent: bool = False
    frozen: bool = False
    not_finite: bool = False
    image_shape: tuple[int, ...] = (720, 1280, 3)
    image_frozen: bool = False
    sent: list[list[float]] = field(default_factory=list)
    sent_grippers: list[list[float]] = field(default_factory=list)
    stopped: int = 0
    open: int = 0
    updated: float = field(default_factory=time.monotonic)
    stamp: int = field(default_factory=time.time_ns)

    def move(self) -> None:
        now = time.monotonic()
        reach = MOTOR_SPEED * (now - self.updated)
        self.arms = self.arms + np.clip(self.targets - self.arms, -reach, reach)
        self.updated = now
        if not self.frozen:
            # The SDK hears from the robot a hundred times a second.
            self.stamp = time.time_ns() // 10_000_000 * 10_000_000

    def answer(self, values):
        values = [float(value) for value in values]
        return values if self.bare_lists else (values, self.stamp)


world = World()


def reset_world(**changes) -> World:
    """Start a test with a fresh robot."""
    global world
    world = World(**changes)
    return world


class RobotDds:
    def __init__(self):
        world.open += 1

    def arm_joint_states(self):
        if world.silent:
            return [], 0
        world.move()
        arms = np.rad2deg(world.arms) if world.arms_in_degrees else world.arms.copy()
        if world.not_finite:
            arms[3] = math.nan
        return world.answer(arms[:world.arm_count])

    def head_joint_states(self):
        return world.answer(np.rad2deg(world.head) if world.degrees else world.head)

    def waist_joint_states(self):
        pitch, lift = world.waist
        return world.answer([
            math.degrees(pitch) if world.degrees else pitch,
            100.0 * lift if world.centimetres else lift])

    def gripper_states(self):
        if world.raw_grippers:
            return world.answer(35.0 + 85.0 * world.closure)
        return world.answer(world.closure if world.closed_at == 1.0 else 1.0 - world.closure)

    def move_arm(self, positions):
        if len(positions) != 14:
            raise ValueError('move_arm takes 14 numbers')
        world.move()
        world.targets = np.array(positions, dtype=float)
        world.sent.append(list(positions))

    def move_gripper(self, positions):
        if len(positions) != 2 or not all(0.0 <= value <= 1.0 for value in positions):
            raise ValueError(f'move_gripper takes two numbers in 0..1, not {positions}')
        world.sent_grippers.append(list(positions))
        closure = np.array(positions, dtype=float)
        world.closure = closure if world.closed_at == 1.0 else 1.0 - closure

    def shutdown(self):
        world.open -= 1


class RobotController:
    def get_motion_status(self):
        return {'mode': 'servo'}

    def set_motion_stop(self):
        world.stopped += 1
        world.targets = world.arms.copy()


class CosineCamera:
    def __init__(self, names):
        known = {'head', 'head_depth', 'hand_left', 'hand_right', 'head_center_fisheye'}
        unknown = set(names) - known
        if unknown:
            raise ValueError(f'no such camera: {unknown}')
        self._stamps = {name: time.time_ns() for name in names}

    def get_image_shape(self, name):
        return world.image_shape

    def get_latest_image(self, name):
        if not world.image_frozen:
            # 30 frames a second.
            self._stamps[name] = time.time_ns() // 33_333_333 * 33_333_333
        image = np.zeros(world.image_shape, dtype=np.uint8)
        image[..., 0] = 200
        return image, self._stamps[name]

    def close(self):
        self._stamps = {}
