# SPDX-License-Identifier: Apache-2.0
"""Exports episodes to a LeRobot v3.0 data set: what a learner sees of them, step by step."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from g1_description.cameras import CAMERA_NAMES
from g1_description.joints import COMMAND_NAMES, STATE_NAMES
from lwd_data.errors import ExchangeError
from lwd_data.exchange import pictures
from lwd_data.exchange.lerobot_writer import Column, DatasetWriter, Exported, Images, image_key
from lwd_data.exchange.resample import RATE
from lwd_data.exchange.video import Codec
from lwd_data.replay.episode import EpisodeColumns
from lwd_data.replay.files import Files
from lwd_data.replay.ingest import episode_folders, ingest
from lwd_data.replay.records import DISCARDED
from lwd_data.scene_layout import LAYOUTS
from lwd_msgs.msg import ControlStep, Reward

_PART = '.part'
_COLUMNS = {
    'observation.state': Column('float32', len(STATE_NAMES), STATE_NAMES),
    'action': Column('float32', len(COMMAND_NAMES), COMMAND_NAMES),
    'next.reward': Column('float32'), 'next.done': Column('bool'), 'next.success': Column('bool'),
    'intervention': Column('bool'), 'policy_version': Column('string'),
    # As recorded: policies of LeRobot take float32 only, and know nothing of the rest.
    'lwd.state': Column('float64', len(STATE_NAMES), STATE_NAMES),
    'lwd.action': Column('float64', len(COMMAND_NAMES), COMMAND_NAMES),
    'lwd.tick': Column('int64'), 'lwd.source': Column('int64'),
    'lwd.driver_state': Column('int64'), 'lwd.terminal': Column('int64')}
_SCENE = 'lwd.scene'


@dataclass
class Done:
    """What an export did."""

    episodes: int = 0
    frames: int = 0
    features: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Episodes and features, with the reason."""


def export(
    folder: Path, out: Path, *, images: Images = 'video', codec: Codec = 'h264',
    tasks: Sequence[str] = (), most: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Done:
    """Export the episodes under a folder.

    Steps behind a verdict are left out, and those before all cameras gave an image.

    Args:
        folder: Of a pool, a run, a spool or a store; searched recursively.
        out: The data set; made by this call, whole or not at all.
        images: video; jpeg: as they were recorded; none.
        codec: Of videos.
        tasks: Names; empty for all.
        most: Episodes at most; 0 for all.
        progress: Called with episodes done and in all.

    Raises:
        ExchangeError: There is nothing to export, `out` exists, or images do not fit together.
        ReadError, IndexFileError: An episode is damaged.
    """
    if out.exists():
        raise ExchangeError(f'{out} exists already; choose another place for the data set')
    done, files = Done(), Files()
    episodes = _episodes(folder, files, tuple(tasks), most, done)
    if not episodes:
        more = f': {done.left_out[0]}' if done.left_out else ''
        raise ExchangeError(f'{folder} has no episode to export{more}')
    cameras = _common_cameras(episodes, done) if images != 'none' else ()
    layout = _common_layout(episodes, done)
    columns = dict(_COLUMNS)
    if layout:
        columns[_SCENE] = Column('float32', LAYOUTS[layout].size)
    part = out.with_name(out.name + _PART)
    if part.exists():
        shutil.rmtree(part)
    writer = DatasetWriter(
        part, RATE, columns, {camera: _size(episodes[0], camera, files) for camera in cameras},
        images, codec)
    try:
        for number, episode in enumerate(episodes):
            progress(number, len(episodes))
            writer.add(_exported(episode, cameras, layout, files))
        writer.close()
        part.rename(out)
    except OSError as error:
        raise ExchangeError(f'cannot write {part}: {error}') from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    progress(len(episodes), len(episodes))
    done.episodes, done.frames, done.features = len(episodes), writer.frames, list(writer.features)
    return done


def _episodes(
    folder: Path, files: Files, tasks: tuple[str, ...], most: int, done: Done,
) -> list[EpisodeColumns]:
    """Return the episodes to export; of two copies, as in spool and store, the longer one."""
    if not folder.is_dir():
        raise ExchangeError(f'there is no folder {folder}')
    found: dict[str, EpisodeColumns] = {}
    known: set[str] = set()
    for one in episode_folders(folder):
        if most and len(found) == most:
            break
        entries = ingest(one, 'offline')
        if not entries:
            done.left_out.append(f'{one.name}: it has no closed segment')
            continue
        record = replace(entries[0].episode, segments=tuple(entry.segment for entry in entries))
        known.add(record.task)
        if tasks and record.task not in tasks:
            continue
        columns = EpisodeColumns(record, files.index)
        other = found.get(record.name)
        if other is not None and len(other.record.segments) >= len(record.segments):
            done.left_out.append(f'{one}: {record.name} is there a second time')
        elif record.label == DISCARDED:
            done.left_out.append(f'{record.name}: it is labelled {DISCARDED}')
        elif not columns.stop:
            done.left_out.append(f'{record.name}: it has no control step')
        else:
            found[record.name] = columns
    missing = [task for task in tasks if task not in known]
    if missing and not most:
        raise ExchangeError(
            f'{folder} has no episode of {", ".join(missing)}; it has {", ".join(sorted(known))}')
    return list(found.values())


def _common_cameras(episodes: Sequence[EpisodeColumns], done: Done) -> tuple[str, ...]:
    """Return the cameras that every episode has images of."""
    having = {camera: sum(_first_image(one, camera) is not None for one in episodes)
              for camera in CAMERA_NAMES}
    for camera, count in having.items():
        if 0 < count < len(episodes):
            done.left_out.append(
                f'{image_key(camera)}: {len(episodes) - count} of {len(episodes)} episodes have '
                'no such images; a data set has the same features throughout')
    return tuple(camera for camera, count in having.items() if count == len(episodes))


def _first_image(episode: EpisodeColumns, camera: str) -> int | None:
    there = np.flatnonzero(episode.has_image(camera)[:episode.stop]) \
        if camera in episode.cameras else ()
    return int(there[0]) if len(there) else None


def _common_layout(episodes: Sequence[EpisodeColumns], done: Done) -> str:
    layouts = {one.layout if one.has_scene[:one.stop].all() else '' for one in episodes}
    if len(layouts) > 1:
        done.left_out.append(f'{_SCENE}: not every step of every episode has scene features')
        return ''
    return layouts.pop()


def _size(episode: EpisodeColumns, camera: str, files: Files) -> tuple[int, int]:
    data = next(_jpegs(episode, camera, _first_image(episode, camera) or 0, files))
    height, width = pictures.decode(data, f'{episode.record.folder}: {camera}').shape[:2]
    return height, width


def _jpegs(
    episode: EpisodeColumns, camera: str, first: int, files: Files,
) -> Iterator[bytes]:
    """Yield the image that each step from `first` on saw; for a lost one, the last before it."""
    data = b''
    for step in range(_first_image(episode, camera) or 0, episode.stop):
        place = episode.image_place(step, camera)
        if place is not None:
            data = files.read(*place)
        if step >= first:
            yield data


def _exported(
    episode: EpisodeColumns, cameras: Sequence[str], layout: str, files: Files,
) -> Exported:
    first = max((_first_image(episode, camera) or 0 for camera in cameras), default=0)
    steps = slice(first, episode.stop)
    count = episode.stop - first
    state, action = episode.state[steps], episode.executed[steps]
    terminal, source = episode.terminal[steps], episode.source[steps]
    last = np.arange(count) == count - 1
    columns = {
        'observation.state': state, 'action': action, 'next.reward': episode.reward[steps],
        'next.done': last, 'next.success': terminal == Reward.TERMINAL_SUCCESS,
        'intervention': source == ControlStep.SOURCE_TELEOP,
        'policy_version': [episode.versions[at] for at in episode.version[steps]],
        'lwd.state': state, 'lwd.action': action, 'lwd.tick': episode.tick[steps],
        'lwd.source': source, 'lwd.terminal': terminal,
        'lwd.driver_state': episode.read('driver_state', first, episode.stop)}
    if layout:
        columns[_SCENE] = np.stack([
            np.frombuffer(files.read(*place), '<f4')
            for step in range(first, episode.stop)
            if (place := episode.scene_place(step)) is not None])
    record = episode.record

    def jpegs(camera: str) -> Callable[[], Iterator[bytes]]:
        return lambda: _jpegs(episode, camera, first, files)

    return Exported(
        record.instruction, columns, {camera: jpegs(camera) for camera in cameras},
        {**record.custom, 'episode_id': record.name, 'task': record.task,
         'instruction': record.instruction})
