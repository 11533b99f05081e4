# SPDX-License-Identifier: Apache-2.0
"""Reads a LeRobot v3.0 data set: several episodes a parquet file, several a video file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from g1_description.errors import alternatives
from lwd_data.errors import ExchangeError
from lwd_data.exchange import fields as joints
from lwd_data.exchange import lerobot_meta as meta
from lwd_data.exchange.episode import SOURCES
from lwd_data.exchange.lerobot_table import read_rows
from lwd_data.exchange.mapping import DataMapping, Extra, chosen_cameras
from lwd_data.exchange.recording import Frames, Image, Recording, Reference
from lwd_data.exchange.video import TimedVideo
from lwd_msgs.msg import Reward

NAME = 'lerobot'
_TIME, _FRAME, _EPISODE, _TASK = 'timestamp', 'frame_index', 'episode_index', 'task_index'
_NUMBER = {'reward': np.float64, 'terminal': np.uint8, 'source': np.uint8,
           'driver_state': np.uint8, 'tick': np.int64, 'scene': np.float32}
_LABEL_OF = {Reward.TERMINAL_SUCCESS: 'success', Reward.TERMINAL_FAILURE: 'failure',
             Reward.TERMINAL_TIMEOUT: 'timeout'}


class LerobotSource:
    """A data set in a folder."""

    def __init__(
        self, folder: Path, mapping: DataMapping, *, cameras: Sequence[str] | None = None,
        name: str = '',
    ) -> None:
        """Look at a data set.

        Args:
            folder: With meta, data and videos.
            mapping: What its features mean.
            cameras: Ours to import, in order; None: those of the mapping.
            name: Of the data set, begins the names of its episodes; the folder's by default.

        Raises:
            ExchangeError: It is none, of another version, or does not fit the mapping.
        """
        if mapping.format != NAME:
            raise ExchangeError(
                f'mapping {mapping.name} is for {mapping.format}, not {NAME}; choose another')
        self.folder, self.mapping = folder, mapping
        self.name = slug(name or folder.resolve().name)
        self.info = meta.read_info(folder)
        for field in joints.required(mapping):
            self.info.feature(field)
        self.cameras = {
            ours: mapping.cameras[ours] for ours in chosen_cameras(mapping, cameras)
            if not (mapping.optional_cameras and cameras is None
                    and mapping.cameras[ours] not in self.info.features)}
        for feature in self.cameras.values():
            if self.info.feature(feature).dtype not in ('video', 'image'):
                raise ExchangeError(
                    f'{self.info.path}: {feature} is {self.info.features[feature].dtype}, neither '
                    'video nor image; change cameras in the mapping')
        self._extra = {name: field for name, field in vars(mapping.extra).items()
                       if name in (*_NUMBER, 'version', 'success') and field in self.info.features}
        self._tasks = meta.read_tasks(folder)

    def episodes(self) -> list[Reference]:
        """Return all episodes.

        Raises:
            ExchangeError: What the data set says of them is missing or damaged.
        """
        found = []
        for episode in meta.read_episodes(self.folder):
            custom = _custom(self.mapping.extra, episode, self.folder)
            name = custom.get('episode_id') or f'{self.name}_{int(episode["episode_index"]):06d}'
            texts = episode.get('tasks') or ['']
            task = custom.get('task') or slug(str(texts[0])) or self.name
            found.append(Reference(name, (episode, custom), task))
        return found

    def read(self, reference: Reference) -> Recording:
        """Read an episode; its images when they are asked for.

        Raises:
            ExchangeError: It is damaged, or does not fit the mapping.
        """
        episode, custom = reference.key
        file = self._inside(self.info.data_path.format(
            chunk_index=int(episode['data/chunk_index']),
            file_index=int(episode['data/file_index'])))
        rows = _Rows(self.info, file, int(episode['episode_index']), int(episode['length']), (
            *joints.required(self.mapping), *self._extra.values(), _TIME, _FRAME, _TASK))
        count = int(episode['length'])
        if not np.array_equal(rows.rows(_FRAME), np.arange(count)):
            raise ExchangeError(
                f'{rows.where}: {_FRAME} is not 0 .. {count - 1}; frames are missing or mixed up. '
                'Leave the episode out')
        state = joints.state(rows, self.mapping, count)
        time = rows.rows(_TIME).astype(np.float64)
        extra: dict[str, Any] = {
            name: rows.rows(field).astype(_NUMBER[name]) for name, field in self._extra.items()
            if name in _NUMBER}
        if 'scene' in extra:
            extra['scene_layout'] = custom.get('features') or self.mapping.extra.scene_layout
        if 'version' in self._extra:
            extra['version'] = [str(one) for one in rows.rows(self._extra['version'])]
        extra.setdefault('source', np.full(count, SOURCES[self.mapping.source], np.uint8))
        instruction = custom.get('instruction') or self._tasks.get(int(rows.rows(_TASK)[0]), '')
        if not instruction.strip():
            raise ExchangeError(
                f'{rows.where}: task {int(rows.rows(_TASK)[0])} has no text in {meta.TASKS}; '
                'without it a policy cannot be told what to do')
        return Recording(
            where=rows.where, name=reference.name, task=reference.task, instruction=instruction,
            label=self._label(custom, rows, extra), time_s=time, state=state,
            command=joints.command(rows, self.mapping, state),
            cameras={ours: self._frames(feature, file, episode, time)
                     for ours, feature in self.cameras.items()},
            custom={
                'dataset': self.name, 'dataset_episode': str(episode['episode_index']),
                **({'robot_type': self.info.robot_type} if self.info.robot_type else {}),
                **{key: text for key, text in custom.items() if key != 'label'}}, **extra)

    def _label(self, custom: Mapping[str, str], rows: _Rows, extra: Mapping[str, Any]) -> str:
        if custom.get('label'):
            return custom['label']
        if 'success' in self._extra:
            return 'success' if np.any(rows.rows(self._extra['success'])) else 'failure'
        if 'terminal' in extra:
            verdicts = extra['terminal'][extra['terminal'] != 0]
            return _LABEL_OF.get(int(verdicts[0]), 'none') if len(verdicts) else 'none'
        return self.mapping.label

    def _frames(
        self, feature: str, data: Path, episode: Mapping[str, Any], time: NDArray[np.float64],
    ) -> Frames:
        if self.info.features[feature].dtype == 'image':
            return ImageColumn(data, feature, int(episode['episode_index']))
        prefix = f'videos/{feature}/'
        try:
            path = self._inside(self.info.video_path.format(
                video_key=feature, chunk_index=int(episode[prefix + 'chunk_index']),
                file_index=int(episode[prefix + 'file_index'])))
            start = float(episode[prefix + 'from_timestamp'])
        except (KeyError, TypeError, ValueError) as error:
            raise ExchangeError(
                f'{self.folder / meta.EPISODES} does not say where the video {feature} of episode '
                f'{episode["episode_index"]} is ({error}); the data set is not whole') from error
        if not path.is_file():
            raise ExchangeError(
                f'there is no video {path}; fetch it, choose other --cameras, or leave the '
                'episode out')
        return TimedVideo(path, (start + time).tolist(), 0.5 / self.info.fps)

    def _inside(self, relative: str) -> Path:
        path = self.folder / relative
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise ExchangeError(
                f'{self.info.path} names the file {relative}, outside the data set')
        return path


@dataclass(frozen=True)
class ImageColumn:
    """Images in the rows of a parquet file."""

    path: Path
    feature: str
    episode: int

    def read(self, rows: Sequence[int]) -> Iterator[Image | bytes]:
        """Yield the images of rows as they are encoded.

        Raises:
            ExchangeError: One is not in the file.
        """
        table = read_rows(self.path, self.episode, (self.feature,))
        column = table.column(self.feature)
        for row in rows:
            found = column[row].as_py()
            data = found.get('bytes') if isinstance(found, dict) else None
            if not data:
                raise ExchangeError(
                    f'{self.path}: {self.feature} of frame {row} of episode {self.episode} has no '
                    'bytes in it; a data set whose images lie in files beside it cannot be read')
            yield data


class _Rows:
    """The features of one episode."""

    def __init__(
        self, info: meta.Info, path: Path, episode: int, length: int, fields: Sequence[str],
    ) -> None:
        self.where = f'{path} (episode {episode})'
        self._info = info
        self._table = read_rows(path, episode, tuple(dict.fromkeys(fields)))
        if len(self._table) != length:
            raise ExchangeError(
                f'{self.where} has {len(self._table)} rows, its length is {length}; the data set '
                'is not whole')

    def rows(self, name: str) -> NDArray[Any]:
        if name not in self._table.column_names:
            known = self._table.column_names
            raise ExchangeError(f'{self.where} has no column {name!r}{alternatives(name, known)}')
        return self._table.array(name)

    def columns(self, name: str, /) -> Sequence[str]:
        return self._info.feature(name).names


def _custom(extra: Extra, episode: Mapping[str, Any], folder: Path) -> dict[str, str]:
    text = episode.get(extra.custom) if extra.custom else None
    if not text:
        return {}
    try:
        return {str(key): str(value) for key, value in json.loads(text).items()}
    except (ValueError, AttributeError) as error:
        raise ExchangeError(
            f'{folder / meta.EPISODES}: {extra.custom} of episode {episode["episode_index"]} is '
            f'no JSON object: {text!r}') from error


def slug(text: str) -> str:
    """Return a text as a name for folders and topics: lower case, digits, dashes."""
    return re.sub(r'[^a-z0-9]+', '-', text.lower()).strip('-')[:60].strip('-')
