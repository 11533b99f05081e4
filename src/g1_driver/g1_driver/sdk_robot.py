# SPDX-License-Identifier: Apache-2.0
"""The real back end: an Agibot G1 through a2d_sdk.

Written against the calls that public code uses; it has not run on a robot yet. Everything on which
the sources disagree is in SdkConfig, and checked when the driver connects.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from g1_description.cameras import camera
from g1_driver.clock import Clock
from g1_driver.errors import ConnectionRefusedByCheckError, RobotFaultError
from g1_driver.images import fit
from g1_driver.robot import Frame, JointSample
from g1_driver.sdk_units import (
    SdkConfig,
    check_arms,
    check_posture,
    closure_from_state,
    command_from_closure,
    numbers,
    probe,
    radians,
)
from g1_sim.scene import Box

__all__ = ['SdkConfig', 'SdkRobot']

Array = NDArray[np.float64]

_GRIPPER_STEP = 0.005
_WAIT_FOR_STATE = 5.0


class SdkRobot:
    """A G1 behind a2d_sdk. Arms and grippers are commanded; head and waist are only read."""

    simulated = False
    keep_out: Sequence[Box] = ()

    def __init__(
        self, config: SdkConfig, clock: Clock, *, cameras: Sequence[str] = (), width: int = 128,
        height: int = 128,
    ) -> None:
        """Set the robot up; `connect` talks to it.

        Raises:
            UnknownNameError: An unknown camera.
        """
        self._config = config
        self._clock = clock
        self._cameras = {name: camera(name).sdk_name for name in cameras}
        self._size = (width, height)
        self._frame_stamps: dict[str, int] = {}
        self._robot: Any = None
        self._controller: Any = None
        self._camera: Any = None

    def connect(self) -> None:
        """Connect and probe; moves nothing.

        Raises:
            RobotFaultError: The SDK is not installed, or the robot does not answer.
            ConnectionRefusedByCheckError: It answers in other units or numbers.
        """
        try:
            sdk = importlib.import_module('a2d_sdk.robot')
        except ImportError as error:
            raise RobotFaultError(
                'a2d_sdk cannot be imported; it is installed on the robot only: run '
                '`source a2d_sdk/env.sh` there first, or use backend: sim') from error
        self.close()
        self._robot = sdk.RobotDds()
        self._controller = sdk.RobotController()
        if self._cameras:
            self._camera = sdk.CosineCamera(list(self._cameras.values()))
        self._wait_for_state()
        arms, _ = _values('arm_joint_states', self._robot.arm_joint_states(), 14)
        check_arms(arms)
        head, _ = _values('head_joint_states', self._robot.head_joint_states(), 2)
        waist, _ = _values('waist_joint_states', self._robot.waist_joint_states(), 2)
        grippers, _ = _values('gripper_states', self._robot.gripper_states(), 2)
        stamped = isinstance(self._robot.arm_joint_states(), tuple)
        self.units = probe(self._config, arms, head, waist, grippers, stamped=stamped)
        self._stamp, self._stamp_seen = -1, time.monotonic()
        self._before: tuple[int, Array] | None = None
        self._velocity = np.zeros(20)
        self._sent_grippers: Array | None = None
        for name, sdk_name in self._cameras.items():
            shape = tuple(self._camera.get_image_shape(sdk_name))
            if len(shape) != 3 or shape[2] != 3:
                raise ConnectionRefusedByCheckError(
                    f'camera {name} ({sdk_name}) gives images of shape {shape} instead of '
                    '(height, width, 3)')

    def _wait_for_state(self) -> None:
        """Wait until the SDK has heard from the robot: right after its start it has not."""
        until = time.monotonic() + _WAIT_FOR_STATE
        while time.monotonic() < until:
            values = self._robot.arm_joint_states()
            if values is not None and len(values[0] if isinstance(values, tuple) else values):
                return
            time.sleep(0.05)
        raise RobotFaultError(
            f'no joint state from the robot within {_WAIT_FOR_STATE:g} s; is it switched on and '
            'on this network?')

    def read_state(self) -> JointSample:
        """Return the newest joint state.

        Raises:
            RobotFaultError: It stands still, is not finite, or outside the joints' limits.
        """
        try:
            arms, stamp = _values('arm_joint_states', self._robot.arm_joint_states(), 14)
            head, _ = _values('head_joint_states', self._robot.head_joint_states(), 2)
            waist, _ = _values('waist_joint_states', self._robot.waist_joint_states(), 2)
            grippers, _ = _values('gripper_states', self._robot.gripper_states(), 2)
            check_arms(arms)
            check_posture(head, waist, self.units)
        except ConnectionRefusedByCheckError as error:
            raise RobotFaultError(str(error)) from error
        self._check_stamp(stamp)
        closure = closure_from_state(grippers, self._config, self.units)
        lift = waist[1] / 100.0 if self.units.centimetres else waist[1]
        positions = np.concatenate([
            arms[:7], closure[:1], arms[7:], closure[1:], radians(head, self.units),
            [lift], radians(waist[:1], self.units)])
        now = self._clock.now_ns()
        return JointSample(now, positions, self._velocities(stamp, positions), np.full(20, np.nan))

    def _check_stamp(self, stamp: int) -> None:
        if stamp != self._stamp:
            self._stamp, self._stamp_seen = stamp, time.monotonic()
            return
        still = time.monotonic() - self._stamp_seen
        if still > self._config.stale_after:
            raise RobotFaultError(
                f'the joint state has not changed its stamp for {still:.2f} s; the limit is '
                f'{self._config.stale_after} s. The connection to the robot is lost')

    def _velocities(self, stamp: int, positions: Array) -> Array:
        """Return velocities, (20,), by differences over the SDK's stamps; it gives none itself."""
        if self._before is None:
            self._before = (stamp, positions)
        elif stamp > self._before[0]:
            seconds = (stamp - self._before[0]) / 1e9
            self._velocity = (positions - self._before[1]) / seconds
            self._before = (stamp, positions)
        return self._velocity

    def read_frames(self) -> list[Frame]:
        """Return the images that are new since the last call, cropped and resized."""
        frames = []
        for name, sdk_name in self._cameras.items():
            answer = self._camera.get_latest_image(sdk_name)
            image, stamp = answer if isinstance(answer, tuple) else (answer, 0)
            if image is None or (stamp and stamp == self._frame_stamps.get(name)):
                continue
            self._frame_stamps[name] = int(stamp)
            rgb = np.asarray(image, dtype=np.uint8)
            if self._config.image_order == 'bgr':
                rgb = rgb[:, :, ::-1]
            # The SDK's stamps are of its own clock; the driver's clock orders all data.
            frames.append(Frame(name, self._clock.now_ns(), fit(rgb, *self._size)))
        return frames

    def send(self, targets: Array) -> None:
        """Send targets, (16,)."""
        self._robot.move_arm([*targets[:7].tolist(), *targets[8:15].tolist()])
        closure = targets[[7, 15]]
        last = self._sent_grippers
        if last is None or np.max(np.abs(closure - last)) > _GRIPPER_STEP:
            self._robot.move_gripper(command_from_closure(closure, self._config).tolist())
            self._sent_grippers = closure.copy()

    def advance(self, seconds: float) -> None:
        """Do nothing: a real robot moves by itself."""

    def halt(self) -> None:
        """Stop the motion controller."""
        if self._controller is not None:
            self._controller.set_motion_stop()

    def close(self) -> None:
        """Let go of cameras and robot."""
        if self._camera is not None:
            self._camera.close()
            self._camera = None
        if self._robot is not None:
            self._robot.shutdown()
            self._robot = None
            self._controller = None


def _values(what: str, answer: Any, count: int) -> tuple[Array, int]:
    """Return (numbers, stamp ns) of an SDK answer: a tuple, or in one source a bare list."""
    if isinstance(answer, tuple) and len(answer) == 2:
        return numbers(what, answer[0], count), int(answer[1])
    return numbers(what, answer if answer is not None else [], count), time.time_ns()
