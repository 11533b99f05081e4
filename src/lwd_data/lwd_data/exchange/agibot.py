# SPDX-License-Identifier: Apache-2.0
"""Reads AgiBot World: JSON of tasks, HDF5 of joints, videos. docs/data.md has its sources."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from g1_description.errors import alternatives
from lwd_data.errors import ExchangeError
from lwd_data.exchange import fields as joints
from lwd_data.exchange.episode import SOURCES
from lwd_data.exchange.mapping import DataMapping, chosen_cameras
from lwd_data.exchange.recording import Frames, Image, Recording, Reference
from lwd_data.exchange.video import IndexedVideo

NAME = 'agibot-world'
_TASKS = 'task_info'
_JOINTS = 'proprio_stats/{task}/{episode}/proprio_stats.h5'
_UNITS = {'ns': 1e-9, 's': 1.0}


class AgibotSource:
    """A folder of AgiBot World, whole or in part."""

    name = NAME

    def __init__(
        self, folder: Path, mapping: DataMapping, *, cameras: Sequence[str] | None = None,
        tasks: Sequence[str] = (),
    ) -> None:
        """Look at a folder.

        Args:
            folder: With task_info, proprio_stats and observations.
            mapping: What its fields mean.
            cameras: Ours to import, in order; None: those of the mapping.
            tasks: Ids to take; empty: all.

        Raises:
            ExchangeError: It is no such folder, or a task is not in it.
        """
        if mapping.format != NAME:
            raise ExchangeError(
                f'mapping {mapping.name} is for {mapping.format}, not {NAME}; choose another')
        self.folder, self.mapping = folder, mapping
        self.cameras = chosen_cameras(mapping, cameras)
        files = {path.stem.rpartition('_')[2]: path
                 for path in sorted((folder / _TASKS).glob('task_*.json'))}
        if not files:
            raise ExchangeError(
                f'{folder} has no {_TASKS}/task_<id>.json; it is no folder of AgiBot World')
        for task in tasks:
            if task not in files:
                raise ExchangeError(f'{folder} has no task {task!r}{alternatives(task, files)}')
        self._files = {task: path for task, path in files.items() if not tasks or task in tasks}
        self.absent = 0
        """Episodes that task_info lists and that are not on disk; known after `episodes`."""

    def episodes(self) -> list[Reference]:
        """Return the episodes that are on disk, in the order of tasks and ids.

        Raises:
            ExchangeError: A task's JSON cannot be read.
        """
        found, self.absent = [], 0
        for task, path in sorted(self._files.items(), key=lambda item: _number(item[0])):
            entries = {str(entry['episode_id']): entry for entry in _entries(path)}
            for episode in sorted(entries, key=_number):
                if self._joints(task, episode).is_file():
                    found.append(Reference(
                        f'agibot_{task}_{episode}', (task, episode, entries[episode]),
                        f'agibot-{task}'))
                else:
                    self.absent += 1
        return found

    def read(self, reference: Reference) -> Recording:
        """Read an episode; its images when they are asked for.

        Raises:
            ExchangeError: It is damaged, or does not fit the mapping.
        """
        task, episode, entry = reference.key
        path = self._joints(task, episode)
        with _Hdf5(path) as file:
            first = self.mapping.time or joints.required(self.mapping)[0]
            count = len(file.rows(first))
            state = joints.state(file, self.mapping, count)
            command = joints.command(file, self.mapping, state)
            time = self._time(file, count)
        text = entry.get('task_name')
        if not isinstance(text, str) or not text.strip():
            raise ExchangeError(
                f'{self._files[task]}: task_name of episode {episode} is {text!r}; without it a '
                'policy cannot be told what to do')
        label = self.mapping.label
        if self.mapping.extra.success and self.mapping.extra.success in entry:
            label = 'success' if entry[self.mapping.extra.success] else 'failure'
        return Recording(
            where=str(path), name=reference.name, task=reference.task, instruction=text.strip(),
            label=label, time_s=time, state=state, command=command,
            source=np.full(count, SOURCES[self.mapping.source], np.uint8),
            cameras={name: self._frames(name, task, episode, count) for name in self.cameras},
            custom={
                'dataset': NAME, 'dataset_episode': f'{task}/{episode}',
                'scene': str(entry.get('init_scene_text', '')),
                'subtasks': json.dumps(
                    entry.get('label_info', {}).get('action_config', []), ensure_ascii=False)})

    def _joints(self, task: str, episode: str) -> Path:
        return self.folder / _JOINTS.format(task=task, episode=episode)

    def _time(self, file: _Hdf5, count: int) -> NDArray[np.float64]:
        mapping = self.mapping
        if not mapping.time:
            return np.arange(count) / (mapping.rate or 30.0)
        stamps = file.rows(mapping.time).reshape(-1)
        # Subtracted first: nanoseconds since 1970 do not fit a float.
        return np.asarray(stamps - stamps[:1], np.float64) * _UNITS[mapping.time_unit]

    def _frames(self, name: str, task: str, episode: str, count: int) -> Frames:
        template = self.mapping.cameras[name].replace('{task}', task).replace('{episode}', episode)
        if '{frame}' in template:
            return ImageFiles(self.folder, template, count)
        path = self.folder / template
        if not path.is_file():
            raise ExchangeError(
                f'there is no video {path} for camera {name}; change cameras in the mapping, '
                'choose other --cameras, or leave the episode out')
        return IndexedVideo(path, count)


@dataclass(frozen=True)
class ImageFiles:
    """One image file a frame."""

    folder: Path
    template: str
    """With {frame} where the number stands."""
    rows: int

    def read(self, rows: Sequence[int]) -> Iterator[Image | bytes]:
        """Yield the files' bytes.

        Raises:
            ExchangeError: There are fewer than rows, or one cannot be read.
        """
        before, _, after = self.template.partition('{frame}')
        found = sorted(
            self.folder.glob(f'{before}*{after}'),
            key=lambda path: _number(str(path.relative_to(self.folder))[len(before):]))
        if len(found) < self.rows:
            raise ExchangeError(
                f'{self.folder / self.template} has {len(found)} images, {self.rows} were '
                'expected; leave the episode out')
        for row in rows:
            yield found[row].read_bytes()


class _Hdf5:
    """The fields of one file."""

    def __init__(self, path: Path) -> None:
        import h5py
        self.where = str(path)
        try:
            self._file: Any = h5py.File(path, 'r')
        except OSError as error:
            raise ExchangeError(f'{path} is damaged: {error}; leave the episode out') from error

    def rows(self, name: str) -> NDArray[Any]:
        import h5py
        try:
            found = self._file.get(name)
            if not isinstance(found, h5py.Dataset):
                known: list[str] = []
                self._file.visititems(lambda one, item: (
                    known.append(one) if isinstance(item, h5py.Dataset) else None))
                raise ExchangeError(
                    f'{self.where} has no dataset {name!r}{alternatives(name, known)}. Change the '
                    'mapping')
            return np.asarray(found[()])
        except (OSError, RuntimeError, KeyError) as error:
            raise ExchangeError(
                f'{self.where}: {name} is damaged: {error}; leave the episode out') from error

    def columns(self, _name: str, /) -> Sequence[str]:
        # HDF5 of AgiBot names none.
        return ()

    def __enter__(self) -> _Hdf5:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def _entries(path: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise ExchangeError(f'{path} cannot be read: {error}') from error
    if not isinstance(content, list) or not all(
            isinstance(entry, dict) and 'episode_id' in entry for entry in content):
        raise ExchangeError(f'{path} is no list of episodes, each with an episode_id')
    return content


def _number(text: str) -> tuple[int, str]:
    """Return what sorts names by the first number in them."""
    found = re.search(r'\d+', text)
    return (int(found.group()) if found else -1, text)
