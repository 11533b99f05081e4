# SPDX-License-Identifier: Apache-2.0
"""Makes the catalogue again from what the store says was registered."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from lwd_data.errors import IndexFileError
from lwd_data.replay import database, registry
from lwd_data.replay.catalogue import Catalogue
from lwd_data.replay.index import ensure_index
from lwd_data.replay.ingest import Entry
from lwd_learner_bridge.errors import MissingError, NoticeError, StoreError
from lwd_learner_bridge.ingest.fetch import fetch, place
from lwd_learner_bridge.ingest.registrations import entry, episode_record
from lwd_learner_bridge.store import names
from lwd_learner_bridge.store.notice import Answer, Notice, decode_answer
from lwd_learner_bridge.store.objects import Objects, ObjectStore

Report = Callable[[str], None]


def replay_folder(objects: ObjectStore, replay: str) -> Path:
    """Return the folder of the catalogue of a store.

    Raises:
        StoreError: The store is no folder, and none was given.
    """
    if replay:
        return Path(replay).expanduser()
    if objects.folder is None:
        raise StoreError(
            f'{objects.url} is no folder of this machine: say where the catalogue and the copies '
            'of the segments go (replay)')
    return objects.folder


def rebuild(objects: Objects, replay: Path, report: Report) -> int:
    """Make a catalogue again; returns how many segments came from the store's answers.

    With its journal it gets all registrations back; without, those that robots uploaded. They are
    made in their former order, so that the same registrations give the same snapshots.

    Raises:
        CatalogueError: The journal is damaged.
        TransferError: The store does not answer.
    """
    if (replay / registry.JOURNAL).is_file():
        registry.rebuild(replay)
    elif (replay / database.FILE).exists():
        registry.set_aside(replay)
    with Catalogue(replay) as catalogue:
        return restore(catalogue, objects, replay, report)


def restore(catalogue: Catalogue, objects: Objects, replay: Path, report: Report) -> int:
    """Register what was answered as registered and is not in a catalogue, in its former order.

    Args:
        catalogue: Of the replay store.
        objects: Where robots upload to.
        replay: The replay store's folder.
        report: Told of what is lost.

    Returns:
        How many segments were added.

    Raises:
        TransferError: The store does not answer.
    """
    head = catalogue.snapshot().sequence
    answers = [answer for episode, keys in _by_episode(objects).items()
               for answer in _to_do(catalogue, objects, episode, keys, report)]
    # By former sequence number: what was registered there. One description is in many answers.
    events: dict[int, tuple[Notice, str, bool]] = {}
    newest: dict[str, Answer] = {}
    for answer in answers:
        notice = answer.notice
        if answer.described > head:
            events[answer.described] = (notice, answer.description, False)
        if answer.described >= newest.get(notice.episode, answer).described:
            newest[notice.episode] = answer
    for answer in answers:
        if answer.order:
            events[answer.order] = (answer.notice, answer.custom, True)
    added = 0
    for _, (notice, text, with_segment) in sorted(events.items(), key=lambda item: item[0]):
        if with_segment:
            added += _add_segment(catalogue, objects, replay, notice, text, report)
        else:
            _describe(catalogue, objects, replay, notice, text)
    for answer in newest.values():
        if answer.described:
            _describe(catalogue, objects, replay, answer.notice, answer.description)
    return added


def _by_episode(objects: Objects) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key in objects.names(names.ANSWERS):
        if key.count('/') == 3:
            found.setdefault(key.split('/')[2], []).append(key)
    return found


def _to_do(
    catalogue: Catalogue, objects: Objects, episode: str, keys: Iterable[str], report: Report,
) -> Iterable[Answer]:
    """Yield the answers of an episode that the catalogue may lack something of.

    Names tell that nearly always: a store has a million answers, and most of them are not read.
    """
    known = {one.number: one.sha256 for one in catalogue.segments_of(episode)}
    labelled = bool(json.loads((catalogue.described(episode) or (0, '{}'))[1]).get('label'))
    for key in keys:
        parts = names.split_notice_name(key.rpartition('/')[2])
        if parts is None:
            continue
        number, revision, short = parts
        there = number is None or known.get(number, '').startswith(short)
        if there and revision <= int(labelled):
            continue
        try:
            answer = decode_answer(objects.read(key), key)
        except NoticeError as error:
            report(str(error))
            continue
        if answer.state == 'registered':
            yield answer


def _add_segment(
    catalogue: Catalogue, objects: Objects, replay: Path, notice: Notice, text: str,
    report: Report,
) -> int:
    segment = notice.segment
    if segment is None or catalogue.find(notice.episode, segment.number) is not None:
        return 0
    try:
        index = ensure_index(fetch(objects, replay, notice.segment_key))
    except (MissingError, IndexFileError) as error:
        report(f'lost: segment {segment.number} of {notice.episode}: {error}')
        return 0
    if index.sha256 != segment.sha256:
        report(f'lost: {index.segment} has SHA-256 {index.sha256[:12]}, not '
               f'{segment.sha256[:12]}')
        return 0
    return catalogue.register([entry(notice, segment, text, index.segment)])


def _describe(
    catalogue: Catalogue, objects: Objects, replay: Path, notice: Notice, text: str,
) -> None:
    """Add a description; that of an episode without segments comes with its first one."""
    registered = catalogue.segments_of(notice.episode)
    if registered:
        folder = place(objects, replay, names.segment_key(
            notice.robot, notice.episode, 0, '')).parent
        catalogue.register([Entry(episode_record(notice, text, folder), registered[0])])
