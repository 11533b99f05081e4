# SPDX-License-Identifier: Apache-2.0
"""Notices from robots, and the learner side's answers: small JSON objects in the store.

A notice is written after its segment, so that a notice in the inbox means a whole segment. It says
all that was known of the episode then, with a revision that only grows, so that it does not
matter in which order notices arrive.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeVar, get_args

from lwd_learner_bridge.errors import NoticeError
from lwd_learner_bridge.store import names

FORMAT = 1
State = Literal['registered', 'quarantined', 'again']
T = TypeVar('T')


@dataclass(frozen=True)
class SegmentFacts:
    """One closed segment."""

    number: int
    """From 0 within the episode."""
    size: int
    """Bytes."""
    sha256: str
    """Of the file, hex."""
    begin_ns: int
    """Stamp of the first message."""
    end_ns: int
    """Stamp of the last message."""
    recovered: bool
    """Whether it was found unfinished, and saved up to its last complete message."""
    intervention: bool
    """Whether a human was in control in some of it."""


@dataclass(frozen=True)
class Notice:
    """What a robot says of a segment, or (without one) of an episode."""

    robot: str
    episode: str
    machine: str
    """Drawn once for each spool: two robots with one name differ in it."""
    revision: int
    """0 while the episode runs; from 1 on its label is known, and grows as that changes."""
    segments: int
    """How many the episode has so far; with a revision from 1 on, in all."""
    custom: Mapping[str, str]
    """custom_data of metadata.yaml: task, instruction, label, ..."""
    segment: SegmentFacts | None = None
    attempt: int = 0
    """How often it was asked for again."""

    @property
    def last(self) -> bool:
        """Return whether the episode needs no segment behind this one."""
        return self.revision > 0 and (
            self.segment is None or self.segment.number == self.segments - 1)

    @property
    def name(self) -> str:
        """Return its name in the inbox and among the answers."""
        if self.segment is None:
            return names.notice_name(None, self.revision, custom_hash(self.custom))
        return names.notice_name(self.segment.number, self.revision, self.segment.sha256)

    @property
    def key(self) -> str:
        """Return where it lies in the inbox."""
        return f'{names.episode_folder(names.INBOX, self.robot, self.episode)}/{self.name}'

    @property
    def answer_key(self) -> str:
        """Return where its answer lies."""
        return f'{names.episode_folder(names.ANSWERS, self.robot, self.episode)}/{self.name}'

    @property
    def segment_key(self) -> str:
        """Return where its segment lies; empty if it has none."""
        if self.segment is None:
            return ''
        return names.segment_key(
            self.robot, self.episode, self.segment.number, self.segment.sha256)


@dataclass(frozen=True)
class Answer:
    """What the learner side did with a notice. Durable: robots delete on the strength of it."""

    notice: Notice
    state: State
    reason: str = ''
    order: int = 0
    """Sequence number of the segment's registration; 0 if there is none."""
    custom: str = '{}'
    """custom_data of the episode at that registration, JSON with sorted keys."""
    described: int = 0
    """Sequence number of the episode's newest description; 0 if there is none."""
    description: str = '{}'
    """It: custom_data."""


def custom_hash(custom: Mapping[str, str]) -> str:
    """Return SHA-256 of custom_data, hex."""
    return hashlib.sha256(json.dumps(dict(custom), sort_keys=True).encode()).hexdigest()


def encode(record: Notice | Answer) -> bytes:
    """Return a record as JSON."""
    return json.dumps({'format': FORMAT, **asdict(record)}, sort_keys=True).encode()


def decode_notice(data: bytes, where: str) -> Notice:
    """Return the notice that some bytes are.

    Raises:
        NoticeError: They are none; the message says which field is wrong.
    """
    return _notice(_content(data, where), where)


def decode_answer(data: bytes, where: str) -> Answer:
    """Return the answer that some bytes are.

    Raises:
        NoticeError: They are none.
    """
    content = _content(data, where)
    notice = content.pop('notice', None)
    if not isinstance(notice, dict):
        raise NoticeError(f'{where} has no notice')
    answer = _filled(Answer, {**content, 'notice': _notice(notice, where)}, where)
    if answer.state not in get_args(State):
        raise NoticeError(
            f'{where} has state {answer.state!r}; it is one of {", ".join(get_args(State))}')
    return answer


def _content(data: bytes, where: str) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except ValueError as error:
        raise NoticeError(f'{where} is no JSON: {error}') from error
    if not isinstance(content, dict):
        raise NoticeError(f'{where} is no JSON object')
    found = content.pop('format', None)
    if found != FORMAT:
        raise NoticeError(
            f'{where} is of format {found!r}, this side reads {FORMAT}: update the older side')
    return content


def _notice(content: dict[str, Any], where: str) -> Notice:
    segment = content.pop('segment', None)
    if segment is not None:
        if not isinstance(segment, dict):
            raise NoticeError(f'{where}: segment is {segment!r}, not an object')
        segment = _filled(SegmentFacts, segment, where)
        if segment.number < 0 or segment.size < 0:
            raise NoticeError(
                f'{where}: number {segment.number} or size {segment.size} is below 0')
        if len(segment.sha256) != 64 or set(segment.sha256) - set('0123456789abcdef'):
            raise NoticeError(f'{where}: sha256 is {segment.sha256!r}, not 64 hex digits')
    notice = _filled(Notice, {**content, 'segment': segment}, where)
    for name in ('robot', 'episode'):
        if not names.is_word(getattr(notice, name)):
            raise NoticeError(
                f'{where}: {name} is {getattr(notice, name)!r}; a name has letters, digits, '
                'dots, dashes and underscores')
    if not all(isinstance(value, str) for pair in notice.custom.items() for value in pair):
        raise NoticeError(f'{where}: custom holds something else than strings')
    return notice


def _filled(kind: type[T], content: Mapping[str, Any], where: str) -> T:
    known = {field.name: str(field.type) for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(content) - set(known)):
        raise NoticeError(f'{where} has the unknown field {unknown[0]!r}')
    for name, value in content.items():
        wanted = _PLAIN.get(known[name])
        if wanted is not None and type(value) is not wanted:
            raise NoticeError(
                f'{where}: {name} is {value!r}; it must be of type {wanted.__name__}')
    try:
        return kind(**content)
    except TypeError as error:
        raise NoticeError(f'{where} lacks a field: {error}') from error


_PLAIN: dict[str, type] = {
    'int': int, 'str': str, 'bool': bool, 'Mapping[str, str]': dict, 'State': str}
