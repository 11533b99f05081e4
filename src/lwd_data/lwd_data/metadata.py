# SPDX-License-Identifier: Apache-2.0
"""metadata.yaml of an episode: rosbag2's, version 9, with what LWD knows in custom_data."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lwd_data import FORMAT_VERSION
from lwd_data.errors import ReadError

FILE = 'metadata.yaml'
ROSBAG2_VERSION = 9
_KEY = 'rosbag2_bagfile_information'
_FORMAT_KEY = 'lwd_format'
# libyaml's is ten times as fast; a pool has thousands of these files.
_Loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)


@dataclass
class Segment:
    """One MCAP file of an episode."""

    file: str
    begin_ns: int
    """Stamp of its first message."""
    end_ns: int
    """Stamp of its last message."""
    counts: dict[str, int] = field(default_factory=dict)
    """Messages by topic."""
    recovered: bool = False
    """Whether it was found unfinished, and saved up to its last complete message."""

    @property
    def count(self) -> int:
        """How many messages it has."""
        return sum(self.counts.values())


@dataclass
class Metadata:
    """What metadata.yaml says."""

    topics: dict[str, str] = field(default_factory=dict)
    """Type by topic."""
    segments: list[Segment] = field(default_factory=list)
    custom: dict[str, str] = field(default_factory=dict)
    """Task, instruction, robot, policy, ...; strings, as rosbag2 has it."""

    @property
    def begin_ns(self) -> int:
        """Stamp of the first message; 0 if there is none."""
        return min((segment.begin_ns for segment in self.segments), default=0)

    @property
    def end_ns(self) -> int:
        """Stamp of the last message; 0 if there is none."""
        return max((segment.end_ns for segment in self.segments), default=0)


def write(folder: Path, metadata: Metadata) -> None:
    """Write metadata.yaml so that a reader sees the old one or the new one, never a part."""
    _replace(folder, _as_yaml(metadata))


def amend(folder: Path, custom: Mapping[str, str]) -> None:
    """Change what custom_data says of an episode, for example its label.

    Raises:
        ReadError: See read.
        OSError: The folder cannot be written.
    """
    content = _load(folder)
    _from_yaml(folder / FILE, content)
    content['custom_data'] = {**content['custom_data'], **custom}
    _replace(folder, content)


def _replace(folder: Path, content: Mapping[str, Any]) -> None:
    temporary = folder / (FILE + '.part')
    with temporary.open('w', encoding='utf-8') as file:
        yaml.safe_dump({_KEY: content}, file, sort_keys=False)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / FILE)


def _as_yaml(metadata: Metadata) -> dict[str, Any]:
    counts: dict[str, int] = dict.fromkeys(metadata.topics, 0)
    for segment in metadata.segments:
        for topic, count in segment.counts.items():
            counts[topic] += count
    recovered = [segment.file for segment in metadata.segments if segment.recovered]
    custom = {_FORMAT_KEY: str(FORMAT_VERSION), **metadata.custom}
    if recovered:
        custom['recovered'] = ' '.join(recovered)
    return {
        'version': ROSBAG2_VERSION,
        'storage_identifier': 'mcap',
        'duration': {'nanoseconds': metadata.end_ns - metadata.begin_ns},
        'starting_time': {'nanoseconds_since_epoch': metadata.begin_ns},
        'message_count': sum(counts.values()),
        'topics_with_message_count': [
            {'topic_metadata': {
                'name': topic, 'type': kind, 'serialization_format': 'cdr',
                'offered_qos_profiles': [], 'type_description_hash': ''},
             'message_count': counts[topic]}
            for topic, kind in metadata.topics.items()],
        'compression_format': '',
        'compression_mode': '',
        'relative_file_paths': [segment.file for segment in metadata.segments],
        'files': [
            {'path': segment.file,
             'starting_time': {'nanoseconds_since_epoch': segment.begin_ns},
             'duration': {'nanoseconds': segment.end_ns - segment.begin_ns},
             'message_count': segment.count}
            for segment in metadata.segments],
        'custom_data': custom,
        'ros_distro': 'jazzy',
    }


def read(folder: Path) -> Metadata:
    """Read metadata.yaml.

    Raises:
        ReadError: It is missing, no YAML, not of rosbag2, or of a newer format than this code.
    """
    return _from_yaml(folder / FILE, _load(folder))


def _load(folder: Path) -> dict[str, Any]:
    path = folder / FILE
    try:
        content = yaml.load(path.read_text(encoding='utf-8'), _Loader)  # noqa: S506  (safe)
    except FileNotFoundError as error:
        raise ReadError(
            f'{folder} has no {FILE}; if a recorder was interrupted there, recover it first '
            '(lwd_data.recovery.recover)') from error
    except yaml.YAMLError as error:
        raise ReadError(f'{path} is no YAML: {error}') from error
    if not isinstance(content, Mapping) or _KEY not in content:
        raise ReadError(f'{path} has no {_KEY}; it is no metadata of rosbag2')
    return content[_KEY]


def _from_yaml(path: Path, content: Mapping[str, Any]) -> Metadata:
    custom = dict(content.get('custom_data') or {})
    version = custom.pop(_FORMAT_KEY, None)
    if version is None:
        raise ReadError(f'{path} has no {_FORMAT_KEY} in custom_data; LWD did not write this bag')
    if int(version) > FORMAT_VERSION:
        raise ReadError(
            f'{path} is of format {version}, this version of LWD reads up to {FORMAT_VERSION}; '
            'read it with the version that wrote it, or update')
    recovered = set(custom.pop('recovered', '').split())
    try:
        topics = {
            item['topic_metadata']['name']: item['topic_metadata']['type']
            for item in content['topics_with_message_count']}
        segments = [
            Segment(item['path'], item['starting_time']['nanoseconds_since_epoch'],
                    item['starting_time']['nanoseconds_since_epoch']
                    + item['duration']['nanoseconds'],
                    {'': item['message_count']}, item['path'] in recovered)
            for item in content['files']]
    except (KeyError, TypeError) as error:
        raise ReadError(f'{path} lacks {error}; it is damaged') from error
    return Metadata(topics, segments, custom)
