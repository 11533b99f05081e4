# SPDX-License-Identifier: Apache-2.0
"""Reads an episode: its messages, and its control steps as arrays."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mcap.exceptions import McapError
from mcap.reader import make_reader
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState

from lwd_data import metadata as metadata_file
from lwd_data.errors import ReadError
from lwd_data.metadata import Metadata
from lwd_msgs import msg as lwd

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Raw:
    """One message as it was recorded."""

    topic: str
    type_name: str
    stamp_ns: int
    data: bytes
    """CDR."""


@dataclass(frozen=True)
class Steps:
    """The control steps of an episode, T of them, in order."""

    tick: NDArray[np.int64]
    """(T,)."""
    stamp_ns: NDArray[np.int64]
    """(T,) of the tick."""
    state: Array
    """(T, 20) measured joints at the tick, in the order of STATE_JOINTS."""
    requested: Array
    """(T, 16) what was asked for; NaN where nothing usable was."""
    executed: Array
    """(T, 16) what was sent."""
    clipped: NDArray[np.uint8]
    """(T, 16) bits of ExecutedCommand.CLIP_*."""
    source: NDArray[np.uint8]
    """(T,) ControlStep.SOURCE_*: who was in control."""
    reward: Array
    """(T,)."""
    terminal: NDArray[np.uint8]
    """(T,) Reward.TERMINAL_*."""
    scene: NDArray[np.float32]
    """(T, F) privileged scene features; F is 0 where none were recorded."""

    def __len__(self) -> int:
        """Return T."""
        return len(self.tick)


class EpisodeReader:
    """An episode on disk."""

    def __init__(self, folder: Path) -> None:
        """Open an episode.

        Raises:
            ReadError: It has no readable metadata, or lacks a segment.
        """
        self.folder = folder
        self.metadata: Metadata = metadata_file.read(folder)
        for segment in self.metadata.segments:
            if not (folder / segment.file).is_file():
                raise ReadError(f'{folder / segment.file} is missing, though metadata.yaml has it')

    def messages(self, names: Collection[str] | None = None) -> Iterator[Raw]:
        """Yield messages in the order of their stamps.

        Args:
            names: The last parts of topics to read, for example `tick`; None for all.

        Raises:
            ReadError: A segment is damaged.
        """
        topics = None if names is None else [
            topic for topic in self.metadata.topics if topic.rpartition('/')[2] in names]
        for segment in self.metadata.segments:
            path = self.folder / segment.file
            try:
                with path.open('rb') as file:
                    for schema, channel, message in make_reader(file).iter_messages(topics):
                        name = schema.name if schema else ''
                        yield Raw(channel.topic, name, message.log_time, message.data)
            except (McapError, OSError, ValueError) as error:
                raise ReadError(f'{path} is damaged: {error}') from error

    def steps(self) -> Steps:
        """Return the control steps: every tick that has a state and an answer.

        Raises:
            ReadError: A segment is damaged, or there is no step in it.
        """
        found: dict[int, dict[str, Any]] = {}
        states: dict[int, Any] = {}
        kinds = {
            'tick': lwd.Tick, 'control_step': lwd.ControlStep, 'reward': lwd.Reward,
            'executed_command': lwd.ExecutedCommand, 'scene_features': lwd.SceneFeatures}
        for raw in self.messages({*kinds, 'joint_states'}):
            name = raw.topic.rpartition('/')[2]
            if name == 'joint_states':
                states[raw.stamp_ns] = deserialize_message(raw.data, JointState)
                continue
            message = deserialize_message(raw.data, kinds[name])
            found.setdefault(message.tick, {})[name] = message
        ticks = sorted(
            tick for tick, parts in found.items()
            if 'tick' in parts and 'executed_command' in parts
            and _ns(parts['tick'].joint_state_stamp) in states)
        if not ticks:
            raise ReadError(f'{self.folder} holds no control step: no tick has state and answer')
        return _as_arrays([found[tick] for tick in ticks], states)


def _ns(stamp: Any) -> int:
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def _as_arrays(rows: list[dict[str, Any]], states: dict[int, Any]) -> Steps:
    nothing = np.full(16, np.nan)
    rewards = [row.get('reward') for row in rows]
    steps = [row.get('control_step') for row in rows]
    features = [row.get('scene_features') for row in rows]
    executed = [row['executed_command'] for row in rows]
    return Steps(
        tick=np.array([row['tick'].tick for row in rows], dtype=np.int64),
        stamp_ns=np.array([_ns(row['tick'].header.stamp) for row in rows], dtype=np.int64),
        state=np.array([states[_ns(row['tick'].joint_state_stamp)].position for row in rows]),
        requested=np.array([
            nothing if len(one.requested) == 0 else np.asarray(one.requested)
            for one in executed]),
        executed=np.array([one.positions for one in executed]),
        clipped=np.array([one.clips for one in executed], dtype=np.uint8),
        source=np.array([
            lwd.ControlStep.SOURCE_HOLD if one is None else one.source for one in steps],
            dtype=np.uint8),
        reward=np.array([0.0 if one is None else one.reward for one in rewards]),
        terminal=np.array([0 if one is None else one.terminal for one in rewards], dtype=np.uint8),
        scene=np.array([[] if one is None else one.values for one in features], dtype=np.float32),
    )
