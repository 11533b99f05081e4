# SPDX-License-Identifier: Apache-2.0
"""The simulated back end: the G1 of g1_sim behind the robot's protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from g1_description.mjcf import PHYSICS_RATE
from g1_driver.clock import Clock
from g1_driver.errors import ConfigurationError, ResetError
from g1_driver.robot import Frame, JointSample, SceneInfo
from g1_sim import tasks
from g1_sim.errors import SimError
from g1_sim.features import SceneFeatures
from g1_sim.render import CameraRig
from g1_sim.scene import DISTRIBUTIONS, PHRASINGS, Box, Distribution, Phrasing
from g1_sim.tasks.base import Judge, Verdict
from g1_sim.world import World

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SimConfig:
    """Settings of the simulated robot."""

    task: str = 'restock'
    """The task to start with; see `lwd tasks`."""
    distribution: str = 'train'
    """train (what demonstrations saw) or deploy (shifted)."""
    phrasing: str = 'train'
    """train (instructions in words that demonstrations heard) or held_out (in others)."""
    seed: int = 0
    """Of the first scene; every reset without a seed adds one."""


class SimRobot:
    """A G1 in MuJoCo. Deterministic in virtual time."""

    simulated = True

    def __init__(
        self, config: SimConfig, clock: Clock, *, cameras: Sequence[str] = (), width: int = 128,
        height: int = 128,
    ) -> None:
        """Set the robot up; `connect` builds its first scene.

        Raises:
            ConfigurationError: An unknown task, distribution or phrasing.
            UnknownNameError: An unknown camera.
        """
        self._clock = clock
        self._rig = CameraRig(cameras, width=width, height=height)
        self._seed = config.seed - 1
        self._wanted = self._check(config.task, config.distribution)
        self._phrasing = _phrasing(config.phrasing)
        self._instruction = ''
        self._drawn_ns = -1
        self.keep_out: Sequence[Box] = ()

    @staticmethod
    def _check(task: str, distribution: str) -> tuple[tasks.Task, Distribution]:
        try:
            known = tasks.get(task)
        except SimError as error:
            raise ConfigurationError(str(error)) from error
        if distribution not in DISTRIBUTIONS:
            raise ConfigurationError(
                f'unknown distribution {distribution!r}. Known: {", ".join(DISTRIBUTIONS)}')
        return known, distribution

    def connect(self) -> None:
        """Build the first scene."""
        self.reset(-1)

    def set_task(self, task: str, distribution: str, instruction: str) -> SceneInfo:
        """Change the task and draw its next scene; an empty distribution stays as it is."""
        self._wanted = self._check(task, distribution or self._wanted[1])
        self._instruction = instruction
        return self.reset(-1)

    def reset(self, seed: int) -> SceneInfo:
        """Draw the scene of a seed, -1 for the next one.

        Raises:
            ResetError: A seed that no scene has.
        """
        if seed < -1:
            raise ResetError(f'seed is {seed}; it must be 0 or above, or -1 for the next scene')
        self._seed = self._seed + 1 if seed == -1 else seed
        task, distribution = self._wanted
        try:
            scene = task.scene(self._seed, distribution, self._phrasing)
            self.world = World(scene)
        except SimError as error:
            raise ResetError(f'scene {self._seed} of {task.name}: {error}') from error
        self._judge: Judge = task.judge(self.world)
        self._features = SceneFeatures(self.world)
        self._drawn_ns = -1
        self.keep_out = scene.keep_out
        self.info = SceneInfo(
            task.name, self._instruction or scene.instruction, distribution, self._seed,
            task.time_limit, tuple(task.subtasks))
        return self.info

    def read_state(self) -> JointSample:
        """Return the joints as they are now."""
        return JointSample(
            self._clock.now_ns(), self.world.positions(), self.world.velocities(),
            self.world.efforts())

    def read_frames(self) -> list[Frame]:
        """Draw every camera, once an instant."""
        now = self._clock.now_ns()
        if now == self._drawn_ns or not self._rig.cameras:
            return []
        self._drawn_ns = now
        return [Frame(name, now, image) for name, image in self._rig.images(self.world).items()]

    def send(self, targets: Array) -> None:
        """Set the servos' targets, (16,)."""
        self.world.set_targets(targets)

    def advance(self, seconds: float) -> None:
        """Take physics steps."""
        self.world.advance(round(seconds * PHYSICS_RATE))
        self.world.refresh()

    def verdict(self) -> Verdict:
        """Judge the control step that just ended."""
        return self._judge.update()

    def privileged(self) -> tuple[Array, Array]:
        """Return the world's state and the judge's memory."""
        return self.world.state(), self._judge.memory()

    def features(self) -> NDArray[np.float32]:
        """Return the scene's features, (F,)."""
        return self._features.values()

    def halt(self) -> None:
        """Hold the servos where the joints are."""
        self.world.set_targets(self.world.positions()[:16])

    def close(self) -> None:
        """Free the graphics context."""
        self._rig.close()


def _phrasing(name: str) -> Phrasing:
    for known in PHRASINGS:
        if name == known:
            return known
    raise ConfigurationError(f'unknown phrasing {name!r}. Known: {", ".join(PHRASINGS)}')
