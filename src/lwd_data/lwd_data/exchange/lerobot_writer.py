# SPDX-License-Identifier: Apache-2.0
"""Writes the files of a LeRobot v3.0 data set: a row group and a stretch of video an episode."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lwd_data.exchange import lerobot_stats as statistics
from lwd_data.exchange import pictures
from lwd_data.exchange.lerobot_meta import DATA_PATH, EPISODES, INFO, TASKS, VERSION, VIDEO_PATH
from lwd_data.exchange.video import Codec, VideoWriter

Images = Literal['video', 'jpeg', 'none']
Dtype = Literal['float32', 'float64', 'int64', 'bool', 'string']

_CHUNK = 1000
"""Files a folder."""
_DATA_MB, _VIDEO_MB, _MB = 100, 200, 1 << 20
_STANDARD: dict[str, Dtype] = {
    'timestamp': 'float32', 'frame_index': 'int64', 'episode_index': 'int64', 'index': 'int64',
    'task_index': 'int64'}
_TYPES = {'float32': np.float32, 'float64': np.float64, 'int64': np.int64, 'bool': np.bool_}


@dataclass(frozen=True)
class Column:
    """A feature that is not an image."""

    dtype: Dtype
    size: int = 1
    names: tuple[str, ...] = ()

    def as_info(self) -> dict[str, Any]:
        """Return it as info.json has it."""
        return {'dtype': self.dtype, 'shape': [self.size], 'names': list(self.names) or None}


@dataclass
class Exported:
    """One episode to write, T frames."""

    task: str
    """The instruction."""
    columns: Mapping[str, Any]
    """By feature: (T,) or (T, n)."""
    images: Mapping[str, Callable[[], Iterator[bytes]]]
    """By camera: what yields a JPEG a frame; may be asked more than once."""
    custom: Mapping[str, str]


@dataclass
class _File:
    """Where the next episode goes."""

    chunk: int = 0
    number: int = 0
    frames: int = 0
    """In it already."""
    writer: Any = None

    def next(self) -> None:
        self.writer.close()
        self.writer, self.frames = None, 0
        self.chunk, self.number = divmod(self.chunk * _CHUNK + self.number + 1, _CHUNK)


@dataclass
class DatasetWriter:
    """Writes a data set into a folder, episode by episode; `close` makes it whole."""

    folder: Path
    fps: int
    columns: Mapping[str, Column]
    sizes: Mapping[str, tuple[int, int]]
    """By camera: height and width of its images."""
    images: Images
    codec: Codec = 'h264'
    robot_type: str = 'agibot_g1'
    frames: int = 0
    data_mb: int = _DATA_MB
    video_mb: int = _VIDEO_MB
    _tasks: dict[str, int] = field(default_factory=dict)
    _episodes: list[dict[str, Any]] = field(default_factory=list)
    _stats: list[dict[str, statistics.Stats]] = field(default_factory=list)
    _data: _File = field(default_factory=_File)
    _videos: dict[str, _File] = field(default_factory=dict)

    @property
    def features(self) -> dict[str, dict[str, Any]]:
        """What info.json says of each feature."""
        kind = 'video' if self.images == 'video' else 'image'
        found = {name: column.as_info() for name, column in self.columns.items()}
        for camera, (height, width) in self.sizes.items():
            found[image_key(camera)] = {
                'dtype': kind, 'shape': [height, width, 3],
                'names': ['height', 'width', 'channels'],
                **({'info': {
                    'video.height': height, 'video.width': width, 'video.codec': self.codec,
                    'video.pix_fmt': 'yuv420p', 'video.is_depth_map': False,
                    'video.fps': self.fps, 'video.channels': 3, 'has_audio': False}}
                   if kind == 'video' else {})}
        return {**found, **{name: Column(dtype).as_info() for name, dtype in _STANDARD.items()}}

    def add(self, episode: Exported) -> None:
        """Append an episode.

        Raises:
            ExchangeError: Its images are of another size, or no images.
        """
        count, index = len(next(iter(episode.columns.values()))), len(self._episodes)
        task = self._tasks.setdefault(episode.task, len(self._tasks))
        frame = np.arange(count)
        values: dict[str, Any] = {
            **episode.columns, 'timestamp': frame / self.fps, 'frame_index': frame,
            'episode_index': np.full(count, index), 'index': self.frames + frame,
            'task_index': np.full(count, task)}
        row: dict[str, Any] = {
            'episode_index': index, 'tasks': [episode.task], 'length': count,
            'dataset_from_index': self.frames, 'dataset_to_index': self.frames + count,
            'meta/episodes/chunk_index': 0, 'meta/episodes/file_index': 0,
            'lwd/custom_data': json.dumps(dict(episode.custom), sort_keys=True)}
        stats = {name: statistics.of_numbers(_typed(column.dtype, values[name]))
                 for name, column in self._all_columns() if column.dtype != 'string'}
        chosen = set(statistics.sampled(count))
        for camera in self.sizes:
            stats[image_key(camera)] = statistics.of_images([
                pictures.decode(data, f'an image of {camera}')
                for at, data in enumerate(episode.images[camera]()) if at in chosen])
            if self.images == 'video':
                row.update(self._add_video(camera, episode.images[camera](), count))
        row.update(self._add_data(values, episode, count))
        self.frames += count
        self._episodes.append(row)
        self._stats.append(stats)

    def _all_columns(self) -> list[tuple[str, Column]]:
        return [*self.columns.items(),
                *((name, Column(dtype)) for name, dtype in _STANDARD.items())]

    def _add_data(
        self, values: Mapping[str, Any], episode: Exported, count: int,
    ) -> dict[str, Any]:
        import pyarrow as pa
        import pyarrow.parquet as pq
        arrays: dict[str, Any] = {}
        for name, column in self._all_columns():
            if column.dtype == 'string':
                arrays[name] = pa.array(list(values[name]), pa.string())
                continue
            array = _typed(column.dtype, values[name])
            flat = pa.array(array.reshape(-1))
            arrays[name] = flat if array.ndim == 1 else pa.FixedSizeListArray.from_arrays(
                flat, array.shape[1])
        if self.images == 'jpeg':
            kind = pa.struct([('bytes', pa.binary()), ('path', pa.string())])
            for camera in self.sizes:
                arrays[image_key(camera)] = pa.array(
                    [{'bytes': data, 'path': f'frame-{at:06d}.jpg'}
                     for at, data in enumerate(episode.images[camera]())], kind)
        table, file = pa.table(arrays), self._data
        path = self._path(DATA_PATH, file)
        if file.writer is not None and path.stat().st_size >= self.data_mb * _MB:
            file.next()
            path = self._path(DATA_PATH, file)
        if file.writer is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            file.writer = pq.ParquetWriter(path, table.schema, compression='snappy')
        file.writer.write_table(table, row_group_size=count)
        return {'data/chunk_index': file.chunk, 'data/file_index': file.number}

    def _add_video(self, camera: str, frames: Iterator[bytes], count: int) -> dict[str, Any]:
        file = self._videos.setdefault(camera, _File())
        height, width = self.sizes[camera]
        if file.writer is not None and file.writer.bytes_so_far >= self.video_mb * _MB:
            file.next()
        if file.writer is None:
            file.writer = VideoWriter(
                self._path(VIDEO_PATH, file, video_key=image_key(camera)), width, height, self.fps,
                self.codec)
        for data in frames:
            file.writer.add(pictures.decode(data, f'an image of {camera}'))
        start, file.frames = file.frames, file.frames + count
        prefix = f'videos/{image_key(camera)}/'
        return {
            prefix + 'chunk_index': file.chunk, prefix + 'file_index': file.number,
            prefix + 'from_timestamp': start / self.fps,
            prefix + 'to_timestamp': file.frames / self.fps}

    def _path(self, template: str, file: _File, **more: str) -> Path:
        return self.folder / template.format(
            chunk_index=file.chunk, file_index=file.number, **more)

    def close(self) -> None:
        """Finish all files and write meta."""
        import pyarrow as pa
        import pyarrow.parquet as pq
        for file in (self._data, *self._videos.values()):
            if file.writer is not None:
                file.writer.close()
        rows = [{**row, **{f'stats/{name}/{key}': value.tolist()
                           for name, one in stats.items() for key, value in one.items()}}
                for row, stats in zip(self._episodes, self._stats)]
        path = self.folder / EPISODES / 'chunk-000/file-000.parquet'
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), path, compression='snappy')
        pq.write_table(_tasks_table(list(self._tasks)), self.folder / TASKS)
        _write_json(self.folder / 'meta/stats.json',
                    statistics.as_lists(statistics.together(self._stats)))
        _write_json(self.folder / INFO, {
            'codebase_version': VERSION, 'robot_type': self.robot_type,
            'total_episodes': len(self._episodes), 'total_frames': self.frames,
            'total_tasks': len(self._tasks), 'chunks_size': _CHUNK,
            'data_files_size_in_mb': self.data_mb, 'video_files_size_in_mb': self.video_mb,
            'fps': self.fps, 'splits': {'train': f'0:{len(self._episodes)}'},
            'data_path': DATA_PATH,
            'video_path': VIDEO_PATH if self.images == 'video' and self.sizes else None,
            'features': self.features})


def image_key(camera: str) -> str:
    """Return the feature of a camera's images."""
    return f'observation.images.{camera}'


def _typed(dtype: str, values: Any) -> NDArray[Any]:
    return np.ascontiguousarray(values, _TYPES[dtype])


def _tasks_table(tasks: Sequence[str]) -> Any:
    """Return instructions and their numbers; to pandas, as LeRobot reads, texts are the index."""
    import pyarrow as pa
    kinds = {'task_index': ('int64', 'int64'), 'task': ('unicode', 'object')}
    about = {
        'index_columns': ['task'], 'column_indexes': [], 'pandas_version': '2.0.0',
        'columns': [{'name': name, 'field_name': name, 'pandas_type': kind, 'numpy_type': numpy,
                     'metadata': None} for name, (kind, numpy) in kinds.items()]}
    table = pa.table({'task_index': pa.array(range(len(tasks)), pa.int64()),
                      'task': pa.array(tasks, pa.string())})
    return table.replace_schema_metadata({'pandas': json.dumps(about)})


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=4, ensure_ascii=False) + '\n', encoding='utf-8')
