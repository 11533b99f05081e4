# SPDX-License-Identifier: Apache-2.0
"""Between notices and the replay catalogue."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from lwd_data.replay.catalogue import Catalogue
from lwd_data.replay.ingest import Entry
from lwd_data.replay.records import EpisodeRecord, SegmentRecord
from lwd_learner_bridge.errors import RefusedError
from lwd_learner_bridge.store.notice import Answer, Notice, SegmentFacts


def custom_text(custom: Mapping[str, str]) -> str:
    """Return custom_data as the catalogue keeps it."""
    return json.dumps(dict(custom), sort_keys=True)


def check_facts(notice: Notice) -> None:
    """Refuse an episode that a learner cannot use, or that is not the one it is called.

    Raises:
        RefusedError: The message says which of its facts is wrong.
    """
    custom = notice.custom
    for key, value in (('episode_id', notice.episode), ('robot', notice.robot)):
        if custom.get(key, value) != value:
            raise RefusedError(
                f'{notice.episode}: custom_data has {key} {custom[key]!r}; it came as {value!r}. '
                'Was it renamed?')
    for key in ('task', 'instruction'):
        if not custom.get(key):
            raise RefusedError(
                f'{notice.episode}: custom_data has no {key}; a policy cannot be told what to do')


def entry(notice: Notice, segment: SegmentFacts, text: str, path: Path) -> Entry:
    """Return what to register.

    Args:
        notice: Of the segment.
        segment: It.
        text: custom_data of the episode, as far as known, JSON.
        path: Where the segment lies.
    """
    return Entry(
        episode_record(notice, text, path.parent),
        SegmentRecord(
            segment.number, path.name, segment.size, segment.sha256, segment.recovered))


def episode_record(notice: Notice, text: str, folder: Path) -> EpisodeRecord:
    """Return an episode as the catalogue keeps it."""
    custom = json.loads(text)
    return EpisodeRecord(
        notice.episode, folder, notice.robot, custom['task'], custom['instruction'], 'online',
        custom.get('label', ''), text)


def registered_answer(catalogue: Catalogue, notice: Notice) -> Answer:
    """Return the answer to a notice that was registered."""
    described, description = catalogue.described(notice.episode) or (0, '{}')
    known = None if notice.segment is None else catalogue.find(
        notice.episode, notice.segment.number)
    return Answer(
        notice, 'registered', order=known.sequence if known else 0,
        custom=known.custom if known else '{}', described=described, description=description)
