# SPDX-License-Identifier: Apache-2.0
"""Runs simulated episodes in one process, through the driver's own loop and safety filter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from g1_driver.clock import VirtualClock
from g1_driver.commands import Command
from g1_driver.loop import RATE, ControlLoop, Observation
from g1_driver.safety.config import SafetyConfig
from g1_driver.sim_robot import SimConfig, SimRobot
from g1_sim.experts import draw_flaws, expert_for
from g1_sim.experts.flaws import Flaws
from g1_sim.experts.play import play
from g1_sim.experts.skills import Expert
from g1_sim.operator import Operator, OperatorConfig
from g1_sim.tasks.base import Terminal, Verdict
from g1_sim.world import World
from lwd_msgs.msg import ControlStep
from lwd_rollout.joy import JoyControl
from lwd_rollout.record import EpisodeRecorder

Array = NDArray[np.float64]
Image = NDArray[np.uint8]


class Controller(Protocol):
    """Whoever drives the robot in an episode."""

    source: int
    """ControlStep.SOURCE_*."""
    version: str
    """SHA-256 of the policy; empty if it is none."""
    chunk_id: int
    """Of the chunk that the last command is from; 0 if it is from none."""
    chunk_index: int
    """Of the last command in its chunk."""

    def act(self, observation: Observation) -> Array:
        """Return the command, (16,), that answers an observation."""

    def interrupted(self) -> None:
        """Be told that a human was in control since the last command."""


MakeController = Callable[[World], Controller]


class ScriptController:
    """A scripted expert, clean or flawed, or one that plays."""

    source = int(ControlStep.SOURCE_EXPERT)
    version, chunk_id, chunk_index = '', 0, 0

    def __init__(self, expert: Expert) -> None:
        """Drive with an expert."""
        self._expert = expert

    def act(self, observation: Observation) -> Array:
        """Return the script's command; it looks at the world itself."""
        del observation
        return self._expert.act()

    def interrupted(self) -> None:
        """Go on: a script looks at the world at every step."""


def expert(flaws: Flaws | None = None) -> MakeController:
    """Return what makes the task's expert."""
    return lambda world: ScriptController(expert_for(world, flaws))


def flawed_expert(rng: np.random.Generator, severity: float) -> MakeController:
    """Return what makes the task's expert with flaws; see g1_sim.experts.flaws.draw."""
    return lambda world: ScriptController(expert_for(world, draw_flaws(world, rng, severity)))


def player(seed: int) -> MakeController:
    """Return what makes an operator who plays."""
    return lambda world: ScriptController(Expert(world, play(seed)))


@dataclass(frozen=True)
class Outcome:
    """What came of an episode."""

    task: str
    distribution: str
    seed: int
    verdict: Verdict
    steps: int
    interventions: int
    operator_steps: int
    clipped_steps: int
    film: tuple[Image, ...] = ()
    """Pictures from beside the robot, evenly spread, if asked for."""

    @property
    def seconds(self) -> float:
        """Length in the robot's time."""
        return self.steps / RATE


@dataclass(frozen=True)
class Setting:
    """What an episode is of, and what the robot sees in it."""

    task: str
    distribution: str = 'train'
    phrasing: str = 'train'
    """Of the instruction: as in training, or held_out."""
    cameras: tuple[str, ...] = ()
    """None by default: a step without cameras takes a tenth of the time."""
    image_size: int = 128
    """Width and height, pixels."""
    safety: SafetyConfig = field(default_factory=SafetyConfig)
    max_seconds: float | None = None
    """Ends an episode earlier than its task would, without a verdict."""


@dataclass(frozen=True)
class Film:
    """Takes pictures of an episode."""

    picture: Callable[[World], Image]
    every: float = 1.0
    """s."""


def run_episode(
    setting: Setting, seed: int, make: MakeController, *, folder: Path | None = None,
    custom: dict[str, str] | None = None, operator: OperatorConfig | None = None,
    through_joy: bool = False, film: Film | None = None,
) -> Outcome:
    """Run the episode of a seed to its end. The same arguments give the same bytes.

    Args:
        setting: Task, distribution, cameras.
        seed: Of the scene.
        make: Makes who drives.
        folder: Where to record it; not recorded by default.
        custom: What to keep with the record.
        operator: A human who may take over; none by default.
        through_joy: Whether the operator acts by twists of the hands through a pad, teleoperation
            and the arbiter, as under ROS, and not by joint targets.
        film: Takes pictures; none by default.

    Raises:
        DriverError: Nothing is known of the task, distribution, phrasing or camera, or no scene
            has the seed.
    """
    # A new clock and loop each time: ticks and stamps begin at zero.
    clock = VirtualClock()
    robot = SimRobot(
        SimConfig(task=setting.task, distribution=setting.distribution, phrasing=setting.phrasing,
                  seed=seed), clock,
        cameras=setting.cameras, width=setting.image_size, height=setting.image_size)
    loop = ControlLoop(robot, setting.safety, clock)
    try:
        loop.start()
        recorder = None if folder is None else EpisodeRecorder(
            folder, robot.world, robot.info, custom=custom)
        return _run(setting, loop, robot, make(robot.world), recorder, operator, film,
                    JoyControl() if through_joy and operator is not None else None)
    finally:
        robot.close()


def _run(
    setting: Setting, loop: ControlLoop, robot: SimRobot, controller: Controller,
    recorder: EpisodeRecorder | None, operator: OperatorConfig | None, film: Film | None,
    joy: JoyControl | None,
) -> Outcome:
    world, info = robot.world, robot.info
    watcher = Operator(world, operator) if operator is not None else None
    verdict = Verdict(Terminal.NONE, 0.0, (0.0,) * len(info.subtasks))
    pictures: list[Image] = []
    steps = by_operator = clipped = 0
    was_active = False
    while True:
        observation = loop.observe()
        if film is not None and steps % max(1, round(film.every * RATE)) == 0:
            pictures.append(film.picture(world))
        corrected = watcher.watch(verdict) if watcher is not None else None
        if corrected is None and was_active:
            controller.interrupted()
        if joy is not None and watcher is not None:
            command, source = controller.act(observation), controller.source
            decision = joy.answer(
                observation, command, source, corrected, world.targets(), int(watcher.reason))
            assert decision.positions is not None  # noqa: S101  the robot is known
            command, source = decision.positions, int(decision.source)
        elif corrected is not None:
            command, source = corrected, int(ControlStep.SOURCE_TELEOP)
        else:
            command, source = controller.act(observation), controller.source
        by_operator += source == ControlStep.SOURCE_TELEOP
        executed = loop.decide(Command(command, observation.stamp_ns))
        if joy is not None:
            joy.executed(executed.positions)
        clipped += bool(executed.clips.any())
        if recorder is not None:
            recorder.observed(observation)
            if watcher is not None and watcher.active != was_active:
                recorder.intervened(
                    observation, active=watcher.active, number=watcher.interventions,
                    reason=int(watcher.reason), operator='oracle',
                    device='script' if joy is None else joy.device)
            if source != controller.source:
                recorder.decided(observation, command, source, executed)
            else:
                recorder.decided(
                    observation, command, source, executed, policy_version=controller.version,
                    chunk_id=controller.chunk_id, chunk_index=controller.chunk_index)
        was_active = watcher is not None and watcher.active
        loop.stream(executed)
        steps += 1
        before, verdict = verdict, robot.verdict()
        ended = bool(verdict.terminal) or (
            setting.max_seconds is not None and steps >= setting.max_seconds * RATE)
        if recorder is not None and (ended or verdict.subtask_scores != before.subtask_scores):
            recorder.judged(observation, verdict)
        if ended:
            break
    if film is not None:
        pictures.append(film.picture(world))
    if recorder is not None:
        recorder.close(observation, verdict)
    return Outcome(
        info.task, info.distribution, info.seed, verdict, steps,
        watcher.interventions if watcher is not None else 0, by_operator, clipped,
        tuple(pictures))
