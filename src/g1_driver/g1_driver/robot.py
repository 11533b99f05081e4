# SPDX-License-Identifier: Apache-2.0
"""What a robot is to the control loop: one protocol for the simulated and the real one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from g1_sim.scene import Box
from g1_sim.tasks.base import Verdict

Array = NDArray[np.float64]


@dataclass(frozen=True)
class JointSample:
    """The joints at one instant, in the order of STATE_JOINTS."""

    stamp_ns: int
    positions: Array
    """(20,) rad; lift m; grippers 0 (open) .. 1 (closed)."""
    velocities: Array
    """(20,) per second."""
    efforts: Array
    """(20,) N m, N for the lift and the grippers; NaN where the robot does not say."""


@dataclass(frozen=True)
class Frame:
    """One camera image."""

    camera: str
    stamp_ns: int
    rgb: NDArray[np.uint8]
    """(height, width, 3)."""


class Robot(Protocol):
    """A robot that takes a stream of joint targets."""

    simulated: bool
    keep_out: Sequence[Box]
    """Boxes that the arms keep away from, base_link."""

    def connect(self) -> None:
        """Find the robot and check that it answers as configured; moves nothing.

        Raises:
            ConnectionRefusedByCheckError: It is there but not as configured.
            RobotFaultError: It is not there.
        """

    def read_state(self) -> JointSample:
        """Return the newest joint sample.

        Raises:
            RobotFaultError: There is none, or it cannot be right.
        """

    def read_frames(self) -> list[Frame]:
        """Return the images that are new since the last call."""

    def send(self, targets: Array) -> None:
        """Send one set of targets, (16,), that the safety filter has passed."""

    def advance(self, seconds: float) -> None:
        """Let a simulated world move on; a real one does so by itself."""

    def halt(self) -> None:
        """Stop the motors where they are: emergency stop."""

    def close(self) -> None:
        """Let go of the robot."""


@dataclass(frozen=True)
class SceneInfo:
    """The task that a simulated robot is set to."""

    task: str
    instruction: str
    distribution: str
    seed: int
    time_limit: float
    subtasks: tuple[str, ...]


@runtime_checkable
class SimulatedRobot(Robot, Protocol):
    """What only a simulated robot can do."""

    info: SceneInfo

    def set_task(self, task: str, distribution: str, instruction: str) -> SceneInfo:
        """Change the task from the next reset on."""

    def reset(self, seed: int) -> SceneInfo:
        """Draw a new scene; -1 for the next seed."""

    def verdict(self) -> Verdict:
        """Judge the control step that just ended. Call it once a step."""

    def privileged(self) -> tuple[Array, Array]:
        """Return the world's state and the judge's memory."""

    def features(self) -> NDArray[np.float32]:
        """Return the scene's features, (F,), as g1_sim.features lays them out."""
