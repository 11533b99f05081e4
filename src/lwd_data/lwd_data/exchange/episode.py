# SPDX-License-Identifier: Apache-2.0
"""Writes a recording as an episode: topics, types and metadata as those of `lwd pool make`."""

from __future__ import annotations

import array
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, JointState

from g1_description.cameras import camera
from g1_description.errors import alternatives
from g1_description.joints import COMMAND_NAMES, STATE_NAMES
from lwd_data.cdr import serialize
from lwd_data.errors import ExchangeError
from lwd_data.exchange import pictures
from lwd_data.exchange.mapping import DataMapping
from lwd_data.exchange.recording import Recording
from lwd_data.exchange.resample import RATE, resample
from lwd_data.metadata import Metadata
from lwd_data.writer import EpisodeWriter
from lwd_msgs.msg import ControlStep, Episode, ExecutedCommand, Reward, SceneFeatures, Task, Tick

ROBOT = 'imported'
"""Name, and namespace of the topics, of a robot that a data set does not name."""
BASE = 'base_link'
_SECOND = 1_000_000_000
_TOPIC = re.compile('[A-Za-z][A-Za-z0-9_]*')
_LABELS = {
    'success': (Episode.LABEL_SUCCESS, Reward.TERMINAL_SUCCESS),
    'failure': (Episode.LABEL_FAILURE, Reward.TERMINAL_FAILURE),
    'timeout': (Episode.LABEL_TIMEOUT, Reward.TERMINAL_TIMEOUT),
    'discard': (Episode.LABEL_DISCARD, Reward.TERMINAL_NONE),
    'none': (Episode.LABEL_NONE, Reward.TERMINAL_NONE)}
SOURCES = {
    'policy': ControlStep.SOURCE_POLICY, 'teleop': ControlStep.SOURCE_TELEOP,
    'expert': ControlStep.SOURCE_EXPERT}


def write(recording: Recording, folder: Path, mapping: DataMapping) -> Metadata:
    """Write a recording into a folder, which is made by this call.

    Raises:
        ExchangeError: Stamps or images of the recording cannot be used.
        WriteError: The folder exists, or the disk refuses.
    """
    recording, rows = resample(recording, max_gap=mapping.max_gap)
    return _EpisodeOfRecording(recording, folder, mapping).write(rows)


class _EpisodeOfRecording:
    def __init__(self, recording: Recording, folder: Path, mapping: DataMapping) -> None:
        self._recording, self._mapping, self._id = recording, mapping, folder.name
        custom = {
            'episode_id': folder.name, 'robot': ROBOT, 'distribution': '', 'seed': '-1',
            'kind': 'expert' if recording.label == 'success' else 'failed', **recording.custom,
            'task': recording.task, 'instruction': recording.instruction}
        # Ids may come with the data; the folder's name is what this episode is known by.
        custom['episode_id'] = folder.name
        _check(recording, custom)
        self._custom = custom
        self._writer = EpisodeWriter(folder, custom, durable=False)
        first = 0 if recording.tick is None else int(recording.tick[0])
        self._tick = (np.arange(len(recording.state)) if recording.tick is None
                      else recording.tick)
        self._stamp = [_SECOND + (int(tick) - first) * _SECOND // RATE for tick in self._tick]

    def write(self, rows: NDArray[np.int64]) -> Metadata:
        with self._writer:
            terminal = self._terminal()
            pictures_of = {
                name: self._pictures(name, rows) for name in self._recording.cameras}
            seen: dict[str, Time] = {}
            for at, stamp in enumerate(self._stamp):
                if at == 0:
                    self._put('task', self._task(), stamp)
                    self._put('episode', self._episode(Episode.STATE_RUNNING, stamp), stamp)
                self._put('joint_states', self._joints(at), stamp)
                for name, images in pictures_of.items():
                    data = next(images)
                    if data is not None:
                        seen[name] = _time(stamp)
                        self._put(f'{name}/image_raw/compressed', _image(name, data, stamp), stamp)
                self._step(at, seen)
                self._judge(at, int(terminal[at]))
            ended = self._episode(Episode.STATE_ENDED, self._stamp[-1])
            self._put('episode', ended, self._stamp[-1])
            return self._writer.close({
                'label': self._recording.label, 'score': f'{ended.score:g}',
                'steps': str(len(self._stamp))})

    def _put(self, name: str, message: Any, stamp_ns: int) -> None:
        kind = type(message)
        self._writer.write(
            f'/{self._custom["robot"]}/{name}',
            f'{kind.__module__.partition(".")[0]}/msg/{kind.__name__}', serialize(message),
            stamp_ns)

    def _pictures(self, name: str, rows: NDArray[np.int64]) -> Iterator[bytes | None]:
        """Yield a camera's JPEG for each tick; None where the last one still holds."""
        mapping, where = self._mapping, f'{self._recording.where}: an image of {name}'
        new = np.append(True, np.diff(rows) != 0)
        frames = self._recording.cameras[name].read(rows[new].tolist())
        for fresh in new:
            yield None if not fresh else pictures.prepared(
                next(frames), mapping.image_size, mapping.jpeg_quality, where)

    def _joints(self, at: int) -> JointState:
        message = JointState(name=list(STATE_NAMES))
        message.header.stamp = _time(self._stamp[at])
        message.header.frame_id = BASE
        message.position = array.array('d', self._recording.state[at])
        return message

    def _step(self, at: int, seen: Mapping[str, Time]) -> None:
        recording, tick, stamp = self._recording, int(self._tick[at]), self._stamp[at]
        now = _time(stamp)
        ticked = Tick(tick=tick, joint_state_stamp=now, cameras=list(seen))
        ticked.image_stamps = list(seen.values())
        asked = ControlStep(
            tick=tick, episode_id=self._id, step_index=at, joint_state_stamp=now,
            source=int(recording.source[at]), joint_names=list(COMMAND_NAMES), cameras=list(seen),
            policy_version='' if recording.version is None else recording.version[at])
        asked.image_stamps = list(seen.values())
        if recording.chunk_id is not None:
            asked.chunk_id = int(recording.chunk_id[at])
            asked.chunk_index = _index(recording.chunk_id, at)
        asked.positions = array.array('d', recording.command[at])
        sent = ExecutedCommand(
            tick=tick, command_stamp=now, joint_names=list(COMMAND_NAMES),
            min_distance=float('inf'))
        sent.requested = sent.positions = asked.positions
        sent.clips = array.array('B', bytes(len(COMMAND_NAMES)))
        if recording.driver_state is not None:
            sent.state = int(recording.driver_state[at])
        for name, message in (('tick', ticked), ('control_step', asked),
                              ('executed_command', sent)):
            message.header.stamp = now
            message.header.frame_id = BASE
            self._put(name, message, stamp)
            if name == 'tick' and recording.scene is not None:
                self._put('scene_features', self._scene(at), stamp)

    def _scene(self, at: int) -> SceneFeatures:
        recording = self._recording
        message = SceneFeatures(tick=int(self._tick[at]), layout=recording.scene_layout)
        message.header.stamp = _time(self._stamp[at])
        message.header.frame_id = BASE
        message.values = array.array('f', [] if recording.scene is None else recording.scene[at])
        return message

    def _terminal(self) -> NDArray[np.uint8]:
        """Return Reward.TERMINAL_* of each step, (T,)."""
        if self._recording.terminal is not None:
            return self._recording.terminal
        found = np.zeros(len(self._stamp), np.uint8)
        found[-1] = _LABELS[self._recording.label][1]
        return found

    def _judge(self, at: int, terminal: int) -> None:
        reward = self._recording.reward
        value = float(reward[at]) if reward is not None else float(
            terminal == Reward.TERMINAL_SUCCESS)
        if not value and not terminal:
            return
        message = Reward(
            tick=int(self._tick[at]), episode_id=self._id, reward=value, terminal=terminal,
            score=self._score() if terminal else 0.0, judge=Reward.JUDGE_OPERATOR,
            detail=self._custom.get('dataset', '') if terminal else '')
        message.header.stamp = _time(self._stamp[at])
        message.header.frame_id = BASE
        self._put('reward', message, self._stamp[at])

    def _score(self) -> float:
        return float(self._recording.custom.get('score', self._recording.label == 'success'))

    def _task(self) -> Task:
        message = Task(
            task=self._recording.task, instruction=self._recording.instruction,
            distribution=self._custom['distribution'], seed=int(self._custom['seed']))
        message.header.stamp = _time(self._stamp[0])
        return message

    def _episode(self, state: int, stamp_ns: int) -> Episode:
        message = Episode(
            episode_id=self._id, robot=self._custom['robot'], task=self._recording.task,
            instruction=self._recording.instruction, state=state, first_tick=int(self._tick[0]))
        message.header.stamp, message.begin = _time(stamp_ns), _time(self._stamp[0])
        if state == Episode.STATE_ENDED:
            message.label, message.score = _LABELS[self._recording.label][0], self._score()
            message.last_tick, message.end = int(self._tick[-1]), _time(stamp_ns)
        return message


def _index(chunk_id: NDArray[np.int64], at: int) -> int:
    """Return how many commands of its chunk came before one; 0 if it is from none."""
    if not chunk_id[at]:
        return 0
    other = np.flatnonzero(chunk_id[:at] != chunk_id[at])
    return at - (int(other[-1]) + 1 if len(other) else 0)


def _check(recording: Recording, custom: Mapping[str, str]) -> None:
    """Refuse what a data set says of an episode and no episode can be."""
    if recording.label not in _LABELS:
        raise ExchangeError(
            f'{recording.where}: label is {recording.label!r}'
            f'{alternatives(recording.label, _LABELS)}')
    if not _TOPIC.fullmatch(custom['robot']):
        raise ExchangeError(
            f'{recording.where}: robot is {custom["robot"]!r}; it must be letters, digits and '
            'underscores, as the namespace of topics')
    for key, kind in (('seed', int), ('score', float)):
        try:
            kind(custom.get(key, '0'))
        except ValueError as error:
            raise ExchangeError(
                f'{recording.where}: {key} is {custom[key]!r}, no number; leave the episode out'
            ) from error


def _image(name: str, data: bytes, stamp_ns: int) -> CompressedImage:
    message = CompressedImage(format='rgb8; jpeg compressed bgr8')
    message.header.stamp = _time(stamp_ns)
    message.header.frame_id = camera(name).frame
    message.data = array.array('B', data)
    return message


def _time(nanoseconds: int) -> Time:
    return Time(sec=nanoseconds // _SECOND, nanosec=nanoseconds % _SECOND)
