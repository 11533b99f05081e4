# SPDX-License-Identifier: Apache-2.0
"""What a LeRobot v3.0 data set says of itself: info.json, tasks, episodes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from g1_description.errors import alternatives
from lwd_data.errors import ExchangeError

VERSION = 'v3.0'
INFO, TASKS, EPISODES = 'meta/info.json', 'meta/tasks.parquet', 'meta/episodes'
DATA_PATH = 'data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet'
VIDEO_PATH = 'videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4'


@dataclass(frozen=True)
class Feature:
    """One feature of info.json."""

    dtype: str
    shape: tuple[int, ...]
    names: tuple[str, ...]
    """Of its columns; empty if it names none."""


@dataclass(frozen=True)
class Info:
    """info.json."""

    path: Path
    fps: float
    features: Mapping[str, Feature]
    data_path: str
    video_path: str
    robot_type: str
    total_episodes: int

    def feature(self, name: str) -> Feature:
        """Return a feature.

        Raises:
            ExchangeError: There is none of that name.
        """
        found = self.features.get(name)
        if found is None:
            raise ExchangeError(
                f'{self.path} has no feature {name!r}{alternatives(name, self.features)}. Change '
                'the mapping, or choose another')
        return found


def read_info(folder: Path) -> Info:
    """Read info.json.

    Raises:
        ExchangeError: It is missing, damaged or of another version.
    """
    path = folder / INFO
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError as error:
        raise ExchangeError(f'{folder} has no {INFO}; it is no data set of LeRobot') from error
    except (OSError, ValueError) as error:
        raise ExchangeError(f'{path} cannot be read: {error}') from error
    version = content.get('codebase_version') if isinstance(content, dict) else None
    if version != VERSION:
        raise ExchangeError(
            f'{path} is of version {version!r}, this reads {VERSION}; an older one is converted '
            'by LeRobot: python -m lerobot.scripts.convert_dataset_v21_to_v30')
    try:
        features = {
            name: Feature(one['dtype'], tuple(one['shape']), _names(one.get('names')))
            for name, one in content['features'].items()}
        fps = float(content['fps'])
        if not fps > 0.0:
            raise ExchangeError(f'{path}: fps is {fps:g}; it must be above 0')
        return Info(
            path, fps, features, content.get('data_path') or DATA_PATH,
            content.get('video_path') or VIDEO_PATH, str(content.get('robot_type') or ''),
            int(content.get('total_episodes', 0)))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ExchangeError(f'{path} lacks {error}, or has it in another form') from error


def _names(names: Any) -> tuple[str, ...]:
    """Return column names, which data sets give as a list, a list in a list, or under a key."""
    while names and (isinstance(names, dict)
                     or (isinstance(names, list) and isinstance(names[0], list))):
        names = next(iter(names.values())) if isinstance(names, dict) else names[0]
    return tuple(str(name) for name in names) if isinstance(names, list) else ()


def read_tasks(folder: Path) -> dict[int, str]:
    """Return instructions by index.

    Raises:
        ExchangeError: tasks.parquet is missing or damaged.
    """
    table = read_parquet(folder / TASKS)
    # pandas writes its index as a column of its name, or of this one.
    text = next((name for name in ('task', '__index_level_0__') if name in table), None)
    if text is None or 'task_index' not in table:
        raise ExchangeError(
            f'{folder / TASKS} has the columns {", ".join(table)}; it needs task and task_index')
    return dict(zip(table['task_index'], map(str, table[text])))


def read_episodes(folder: Path) -> list[dict[str, Any]]:
    """Return what is said of each episode, without its statistics, in order.

    Raises:
        ExchangeError: A file is missing or damaged.
    """
    files = sorted((folder / EPISODES).glob('*/*.parquet'))
    if not files:
        raise ExchangeError(f'{folder / EPISODES} has no parquet file; the data set is not whole')
    found: list[dict[str, Any]] = []
    for path in files:
        table = read_parquet(path, leave_out='stats/')
        for name in ('episode_index', 'length', 'data/chunk_index', 'data/file_index'):
            if name not in table:
                raise ExchangeError(f'{path} has no column {name}; it has {", ".join(table)}')
        found += [dict(zip(table, row)) for row in zip(*table.values())]
    return sorted(found, key=lambda episode: int(episode['episode_index']))


def read_parquet(path: Path, *, leave_out: str = '\0') -> dict[str, Sequence[Any]]:
    """Return the columns of a file as lists.

    Args:
        path: Of the file.
        leave_out: Columns whose names begin so are not read.

    Raises:
        ExchangeError: It is missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    try:
        with pq.ParquetFile(path) as file:
            names = [name for name in file.schema_arrow.names if not name.startswith(leave_out)]
            table = file.read(columns=names)
    except FileNotFoundError as error:
        raise ExchangeError(f'there is no {path}; the data set is not whole') from error
    except (pa.ArrowException, OSError) as error:
        raise ExchangeError(f'{path} is damaged: {error}') from error
    return {name: table.column(name).to_pylist() for name in names}
