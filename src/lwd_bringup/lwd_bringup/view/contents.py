# SPDX-License-Identifier: Apache-2.0
"""What the page of an episode shows, as plain values for JSON."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage

from g1_description.joints import COMMAND_NAMES
from lwd_bringup.errors import BringupError
from lwd_data.errors import DataError
from lwd_data.reader import EpisodeReader, Steps
from lwd_data.replay.topics import IMAGE_SUFFIX
from lwd_msgs.msg import ControlStep

SOURCES = {
    getattr(ControlStep, name): name.removeprefix('SOURCE_').lower()
    for name in ('SOURCE_POLICY', 'SOURCE_TELEOP', 'SOURCE_EXPERT', 'SOURCE_HOLD', 'SOURCE_ESTOP')}
_DIGITS = 4
_IMAGES = 'compressed'


def contents(folder: Path, *, limit_bytes: int) -> dict[str, Any]:
    """Return what there is to see of an episode.

    Args:
        folder: The episode.
        limit_bytes: Of all images together; beyond it every second, third, ... one is shown.

    Raises:
        BringupError: It is no episode, damaged, or has no control step.
    """
    try:
        reader = EpisodeReader(folder)
        steps = reader.steps()
        images = _images(reader, limit_bytes)
    except DataError as error:
        raise BringupError(f'{folder} cannot be shown: {error}') from error
    begin = int(steps.stamp_ns[0])
    return {
        'id': folder.name,
        'custom': reader.metadata.custom,
        'recovered': [one.file for one in reader.metadata.segments if one.recovered],
        'time': _numbers((steps.stamp_ns - begin) / 1e9),
        'tick': steps.tick.tolist(),
        'source': [SOURCES.get(int(one), '?') for one in steps.source],
        'joints': _joints(steps),
        'rewards': [
            {'step': int(at), 'reward': float(steps.reward[at]),
             'terminal': int(steps.terminal[at])}
            for at in np.flatnonzero((steps.reward != 0.0) | (steps.terminal != 0))],
        'cameras': {
            name: {'time': _numbers([(stamp - begin) / 1e9 for stamp, _ in frames]),
                   'jpeg': [base64.b64encode(jpeg).decode() for _, jpeg in frames]}
            for name, frames in sorted(images.items())},
    }


def _joints(steps: Steps) -> list[dict[str, Any]]:
    return [
        {'name': name, 'state': _numbers(steps.state[:, i]),
         'asked': _numbers(steps.requested[:, i]), 'sent': _numbers(steps.executed[:, i]),
         'clipped': np.flatnonzero(steps.clipped[:, i]).tolist()}
        for i, name in enumerate(COMMAND_NAMES)]


def _numbers(values: Any) -> list[float | None]:
    """Return numbers for JSON, which has no NaN."""
    return [round(float(value), _DIGITS) if np.isfinite(value) else None for value in values]


def _images(reader: EpisodeReader, limit_bytes: int) -> dict[str, list[tuple[int, bytes]]]:
    found: dict[str, list[tuple[int, bytes]]] = {}
    for raw in reader.messages({_IMAGES}):
        if raw.topic.endswith(IMAGE_SUFFIX):
            camera = raw.topic.removesuffix(IMAGE_SUFFIX).rpartition('/')[2]
            message = deserialize_message(raw.data, CompressedImage)
            found.setdefault(camera, []).append((raw.stamp_ns, bytes(message.data)))
    size = sum(len(jpeg) for frames in found.values() for _, jpeg in frames)
    stride = max(1, -(-size // limit_bytes))
    return {name: frames[::stride] for name, frames in found.items()}
