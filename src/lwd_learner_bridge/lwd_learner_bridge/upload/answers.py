# SPDX-License-Identifier: Apache-2.0
"""What the learner side has answered, taken over into an episode's ledger."""

from __future__ import annotations

from collections.abc import Callable

from lwd_learner_bridge.errors import MissingError, NoticeError
from lwd_learner_bridge.store import names
from lwd_learner_bridge.store.notice import Answer, custom_hash, decode_answer
from lwd_learner_bridge.store.objects import Objects
from lwd_learner_bridge.upload.ledger import SETTLED, Ledger
from lwd_learner_bridge.upload.queue import Tracked

Report = Callable[[str], None]


def take_answers(one: Tracked, objects: Objects, report: Report) -> bool:
    """Look for answers to an episode's notices; returns whether its ledger changed.

    Raises:
        TransferError: The store does not answer.
    """
    episode, ledger = one.episode, one.ledger
    folder = names.episode_folder(names.ANSWERS, episode.robot, episode.name)
    changed, newest = False, 0
    for key in objects.names(folder):
        name = key.rpartition('/')[2]
        parts = names.split_notice_name(name)
        if parts is None:
            continue
        newest = max(newest, parts[1])
        if not _concerns(ledger, *parts):
            continue
        try:
            answer = decode_answer(objects.read(key), key)
        except (NoticeError, MissingError) as error:
            report(f'{error}; what it answers is announced again')
            continue
        changed |= _apply_to_segment(one, answer, report)
        changed |= _apply_to_facts(ledger, answer)
    # A ledger that was lost began to count anew: the next label must outrank those before.
    if ledger.revision and ledger.facts_state == 'waiting' and ledger.revision <= newest:
        ledger.revision = newest + 1
        changed = True
    return changed


def _concerns(ledger: Ledger, number: int | None, revision: int, short: str) -> bool:
    facts_open = ledger.revision > 0 and ledger.facts_state not in SETTLED
    if number is None:
        return facts_open and ledger.custom_hash.startswith(short)
    entry = ledger.segments.get(number)
    if entry is None or not entry.sha256.startswith(short):
        return False
    return entry.state not in SETTLED or (facts_open and revision > 0)


def _apply_to_segment(one: Tracked, answer: Answer, report: Report) -> bool:
    segment = answer.notice.segment
    if segment is None:
        return False
    ledger, entry = one.ledger, one.ledger.segments[segment.number]
    if entry.sha256 != segment.sha256 or entry.state in SETTLED:
        return False
    if answer.state != 'again':
        entry.state, entry.reason = answer.state, answer.reason
        if answer.state == 'quarantined':
            report(f'{one.episode.name}: quarantined: {answer.reason}')
        return True
    if answer.notice.attempt < entry.attempt or entry.state != 'uploaded':
        # It is about an upload before the last one.
        return False
    entry.state, entry.reason = 'waiting', answer.reason
    entry.attempt = answer.notice.attempt + 1
    # Read anew before it is sent: it may be the disk here that is wrong.
    entry.changed_ns = 0
    if ledger.facts_name == entry.name:
        ledger.facts_state, ledger.facts_name = 'waiting', ''
    report(f'{one.episode.name}: sent again: {answer.reason}')
    return True


def _apply_to_facts(ledger: Ledger, answer: Answer) -> bool:
    notice = answer.notice
    if (answer.state == 'again' or notice.revision == 0 or ledger.facts_state in SETTLED
            or custom_hash(notice.custom) != ledger.custom_hash):
        return False
    ledger.facts_state = answer.state
    ledger.revision = max(ledger.revision, notice.revision)
    return True


def announce_anew(one: Tracked) -> None:
    """Let all that nobody answered be announced anew: a notice or a segment was lost."""
    for entry in one.ledger.segments.values():
        if entry.state == 'uploaded':
            entry.state = 'waiting'
    if one.ledger.facts_state == 'uploaded':
        one.ledger.facts_state = 'waiting'
