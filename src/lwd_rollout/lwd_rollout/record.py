# SPDX-License-Identifier: Apache-2.0
"""Records an in-process episode as a robot's recorder would: same messages, same writer."""

from __future__ import annotations

import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from g1_description.joints import COMMAND_NAMES
from g1_driver import messages
from g1_driver.commands import Executed
from g1_driver.loop import Observation
from g1_driver.robot import SceneInfo
from g1_sim.features import LAYOUT, SceneFeatures
from g1_sim.tasks.base import Terminal, Verdict
from g1_sim.world import World
from lwd_data.cdr import serialize
from lwd_data.metadata import Metadata
from lwd_data.writer import EpisodeWriter
from lwd_msgs.msg import ControlStep, Episode, Intervention
from lwd_ros.convert import to_time

Array = NDArray[np.float64]

_LABELS = {
    Terminal.SUCCESS: Episode.LABEL_SUCCESS, Terminal.FAILURE: Episode.LABEL_FAILURE,
    Terminal.TIMEOUT: Episode.LABEL_TIMEOUT, Terminal.NONE: Episode.LABEL_NONE}


class EpisodeRecorder:
    """Turns the steps of a loop into messages and writes them."""

    def __init__(
        self, folder: Path, world: World, info: SceneInfo, *, robot: str = 'sim',
        custom: Mapping[str, str] | None = None, durable: bool = False, jpeg_quality: int = 90,
    ) -> None:
        """Begin an episode in a folder, whose name is its id.

        Args:
            folder: Made by this call.
            world: The world that is recorded; its features go along.
            info: What the robot is set to.
            robot: Name, and namespace of the topics.
            custom: More to keep in custom_data.
            durable: See EpisodeWriter.
            jpeg_quality: Of camera images.
        """
        self._id, self._info, self._robot = folder.name, info, robot
        self._features = SceneFeatures(world)
        self._quality = jpeg_quality
        self._index = 0
        self._begin_ns: int | None = None
        self._first_tick = 0
        self._image_stamps: dict[str, int] = {}
        self._writer = EpisodeWriter(folder, {
            'episode_id': self._id, 'robot': robot, 'task': info.task,
            'instruction': info.instruction, 'distribution': info.distribution,
            'seed': str(info.seed), 'features': LAYOUT, **(custom or {})}, durable=durable)

    def _write(self, name: str, message: Any, stamp_ns: int) -> None:
        kind = type(message)
        type_name = f'{kind.__module__.partition(".")[0]}/msg/{kind.__name__}'
        self._writer.write(
            f'/{self._robot}/{name}', type_name, serialize(message), stamp_ns)

    def observed(self, observation: Observation) -> None:
        """Write what the robot saw at a tick."""
        stamp = observation.stamp_ns
        if self._begin_ns is None:
            self._begin_ns, self._first_tick = stamp, observation.tick
            self._write('task', messages.task(self._info, stamp, observation.reset_count), stamp)
            self._write('episode', self._episode(stamp, Episode.STATE_RUNNING), stamp)
        self._write('joint_states', messages.joint_state(observation.joints),
                    observation.joints.stamp_ns)
        for frame in observation.frames:
            self._image_stamps[frame.camera] = frame.stamp_ns
            self._write(f'{frame.camera}/image_raw/compressed',
                        messages.image(frame, self._quality), frame.stamp_ns)
        self._write('tick', messages.tick(
            observation.tick, stamp, observation.reset_count, observation.joints.stamp_ns,
            self._image_stamps), stamp)
        self._write('scene_features', messages.scene_features(
            observation.tick, stamp, self._features.values()), stamp)

    def decided(
        self, observation: Observation, command: Array, source: int, executed: Executed, *,
        policy_version: str = '', chunk_id: int = 0, chunk_index: int = 0,
    ) -> None:
        """Write what was asked for, by whom, and what was sent."""
        step = ControlStep(
            tick=observation.tick, episode_id=self._id, step_index=self._index, source=source,
            policy_version=policy_version, chunk_id=chunk_id, chunk_index=chunk_index,
            joint_names=list(COMMAND_NAMES), cameras=list(self._image_stamps))
        step.header.stamp = to_time(observation.stamp_ns)
        step.header.frame_id = messages.BASE
        step.joint_state_stamp = to_time(observation.joints.stamp_ns)
        step.image_stamps = [to_time(stamp) for stamp in self._image_stamps.values()]
        step.positions = array.array('d', command)
        self._write('control_step', step, observation.stamp_ns)
        self._write('executed_command', messages.executed_command(
            observation.tick, observation.stamp_ns, executed), observation.stamp_ns)
        self._index += 1

    def intervened(
        self, observation: Observation, *, active: bool, number: int, reason: int, operator: str,
        device: str = 'script',
    ) -> None:
        """Write that a human took over, or handed back."""
        message = Intervention(
            active=active, operator_id=operator, device=device, reason=reason,
            episode_id=self._id, intervention_id=number)
        message.header.stamp = to_time(observation.stamp_ns)
        moment = to_time(observation.stamp_ns)
        if active:
            message.begin = moment
        else:
            message.end = moment
        self._write('intervention', message, observation.stamp_ns)

    def judged(self, observation: Observation, verdict: Verdict) -> None:
        """Write a reward event."""
        message = messages.reward(
            observation.tick, observation.stamp_ns, verdict, self._info.subtasks)
        message.episode_id = self._id
        self._write('reward', message, observation.stamp_ns)

    def close(self, observation: Observation, verdict: Verdict) -> Metadata:
        """End the episode with its label."""
        label = _LABELS[verdict.terminal]
        ended = self._episode(observation.stamp_ns, Episode.STATE_ENDED)
        ended.label, ended.score, ended.detail = label, verdict.score, verdict.detail
        ended.last_tick, ended.end = observation.tick, to_time(observation.stamp_ns)
        self._write('episode', ended, observation.stamp_ns)
        return self._writer.close({
            'label': verdict.terminal.name.lower(), 'score': f'{verdict.score:g}',
            'steps': str(self._index)})

    def _episode(self, stamp_ns: int, state: int) -> Episode:
        message = Episode(
            episode_id=self._id, robot=self._robot, task=self._info.task,
            instruction=self._info.instruction, state=state, first_tick=self._first_tick)
        message.header.stamp = to_time(stamp_ns)
        message.begin = to_time(self._begin_ns or stamp_ns)
        return message
