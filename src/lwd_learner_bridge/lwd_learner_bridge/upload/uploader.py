# SPDX-License-Identifier: Apache-2.0
"""The uploader: takes closed segments from a spool to the store, and forgets nothing.

A piece of work at a time: hash a new segment, upload the most urgent one, look for answers, delete
what is confirmed. All of it can be cut off anywhere and is taken up again by the next uploader.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lwd_learner_bridge.errors import SpoolError, TransferError
from lwd_learner_bridge.store.notice import Notice, custom_hash, encode
from lwd_learner_bridge.store.objects import PART_BYTES, Objects
from lwd_learner_bridge.upload import queue, retention
from lwd_learner_bridge.upload.answers import announce_anew, take_answers
from lwd_learner_bridge.upload.claim import Claim
from lwd_learner_bridge.upload.config import UploadConfig
from lwd_learner_bridge.upload.inspection import inspect
from lwd_learner_bridge.upload.ledger import Ledger, Ledgers, SegmentEntry
from lwd_learner_bridge.upload.pacing import Backoff, Limit
from lwd_learner_bridge.upload.queue import Tracked
from lwd_learner_bridge.upload.spool import ClosedSegment, Spool

_PIECE = 256 * 1024
"""Read at once where the bandwidth is limited; a whole part else: each is handed between threads,
which a busy machine makes dear."""


class Stopped(Exception):  # noqa: N818  (nothing went wrong)
    """The uploader was told to stop in the middle of an upload."""


class _ChangedError(Exception):
    """A segment is not what was hashed."""


class Uploader:
    """Uploads one robot's episodes. Not thread-safe, but for `stop`."""

    def __init__(
        self, spool: Path, robot: str, objects: Objects, config: UploadConfig | None = None, *,
        announce: Callable[[Notice], None] = lambda _: None,
        report: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take over a spool.

        Args:
            spool: Holds `<robot>/<episode>/`.
            robot: Whose episodes.
            objects: Where to.
            config: How.
            announce: Called when a notice is in the store.
            report: Told what a person should know, a sentence each.
            clock: Monotonic, s. The time of day is never looked at.
            sleep: Waits so many seconds.

        Raises:
            SpoolError: The spool cannot be written, or another uploader works on it.
        """
        self.config = config or UploadConfig()
        self.spool = Spool(spool, robot)
        self.tracked: dict[str, Tracked] = {}
        """By name: the episodes in the spool."""
        self.failure = ''
        """Why the store does not work at present."""
        self.spool_bytes = 0
        """Of all episodes, as of the last look for answers."""
        self._claim = Claim(spool, robot)
        self._objects, self._announce, self._report = objects, announce, report
        self._clock = clock
        self._ledgers = Ledgers(spool, robot)
        self._backoff = Backoff(longest=self.config.longest_wait)
        self._limit = Limit(self.config.bandwidth * 1e6, clock=clock, sleep=sleep)
        self._next_scan = self._next_try = self._next_answers = 0.0
        self._stopping = False
        retention.empty_trash(spool, robot)

    def close(self) -> None:
        """Let another uploader have the spool."""
        self._claim.release()

    def stop(self) -> None:
        """End an upload that is under way; called from another thread."""
        self._stopping = True

    def work(self) -> float:
        """Do a piece of work; returns after how many seconds to call again.

        Raises:
            Stopped: As asked for.
            SpoolError: The spool cannot be read.
        """
        now = self._clock()
        if now >= self._next_scan:
            self._next_scan = now + self.config.poll
            self._scan()
        worked = self._inspect_one()
        if now >= self._next_try:
            try:
                worked |= self._upload_one()
                if self._clock() >= self._next_answers:
                    self._ask()
                if self.failure:
                    self._report('the store works again')
                self._backoff.succeeded()
                self.failure = ''
            except TransferError as error:
                if not self.failure:
                    self._report(str(error))
                self.failure = str(error)
                self._next_try = self._clock() + self._backoff.failed()
        return 0.0 if worked else self.config.poll

    def unsettled(self) -> int:
        """Return how many episodes the learner side does not have all of, as of the last look."""
        # Lists: a node's thread asks while the worker's adds to them.
        return sum(not one.ledger.settled(len(one.episode.segments))
                   for one in list(self.tracked.values()))

    def backlog(self) -> int:
        """Return the bytes that are closed and not in the store."""
        return sum(
            entry.size for one in list(self.tracked.values())
            for entry in list(one.ledger.segments.values()) if entry.state == 'waiting')

    def _scan(self) -> None:
        episodes = {episode.name: episode for episode in self.spool.episodes()}
        for name in set(self.tracked) - set(episodes) - set(self.spool.problems):
            del self.tracked[name]
        for name, episode in episodes.items():
            one = self.tracked.get(name)
            if one is None:
                ledger = self._ledgers.load(name)
                one = self.tracked[name] = Tracked(
                    episode, Ledger() if ledger is None else ledger, fresh=ledger is None)
            elif one.episode is episode:
                continue
            one.episode = episode
            if episode.ended:
                one.ledger.note_facts(custom_hash(episode.custom))

    def _inspect_one(self) -> bool:
        for name, one in self.tracked.items():
            for segment in one.episode.segments:
                if segment.number not in one.ledger.segments:
                    self._inspect(name, one, segment)
                    return True
        return False

    def _inspect(self, name: str, one: Tracked, segment: ClosedSegment, attempt: int = 0) -> None:
        try:
            found = inspect(segment.path)
        except SpoolError as error:
            # Listed, and not there: somebody took it away. The others go on.
            self._report(str(error))
            self.spool.problems[name] = str(error)
            one.ledger.segments[segment.number] = SegmentEntry(
                0, 0, '', False, 'unreadable', reason=str(error))
            return
        one.ledger.segments[segment.number] = SegmentEntry(
            found.size, found.changed_ns, found.sha256, found.intervention, attempt=attempt)
        self._save(one)

    def _upload_one(self) -> bool:
        one = queue.following(self.tracked.values())
        if one is None:
            return False
        if one.fresh:
            if len(one.ledger.segments) < len(one.episode.segments):
                return False
            take_answers(one, self._objects, self._report)
            one.fresh = False
            self._save(one)
            return True
        segment, ledger = one.next_segment(), one.ledger
        # Taken back at the end: what fails gives way to other episodes.
        one.failures += 1
        if segment is not None and not self._send(one, segment):
            return True
        notice = one.notice(segment, self._claim.machine)
        self._objects.write(notice.key, encode(notice))
        one.failures = 0
        if segment is not None:
            entry = ledger.segments[segment.number]
            entry.state, entry.name = 'uploaded', notice.name
        if notice.last:
            ledger.facts_state, ledger.facts_name = 'uploaded', notice.name
        one.patience = one.patience or self.config.announce_again
        one.due = self._clock() + one.patience
        self._save(one)
        self._announce(notice)
        return True

    def _send(self, one: Tracked, segment: ClosedSegment) -> bool:
        """Upload a segment's bytes; returns False if it is to be hashed anew first."""
        entry = one.ledger.segments[segment.number]
        key = one.notice(segment, '').segment_key
        try:
            if segment.path.stat().st_mtime_ns != entry.changed_ns:
                raise _ChangedError
            # A name has its content's hash, and an object appears whole or not at all.
            if entry.attempt or self._objects.size(key) != entry.size:
                self._objects.upload(key, self._pieces(segment.path, entry))
        except (_ChangedError, FileNotFoundError):
            self._inspect(one.episode.name, one, segment, entry.attempt)
            return False
        except OSError as error:
            raise TransferError(f'{segment.path} cannot be read: {error.strerror}') from error
        return True

    def _pieces(self, path: Path, entry: SegmentEntry) -> Iterator[bytes]:
        digest = hashlib.sha256()
        with path.open('rb') as file:
            while data := file.read(_PIECE if self.config.bandwidth else PART_BYTES):
                if self._stopping:
                    raise Stopped
                self._limit.take(len(data))
                digest.update(data)
                yield data
        if digest.hexdigest() != entry.sha256:
            raise _ChangedError

    def _ask(self) -> None:
        self._next_answers = self._clock() + self.config.confirm_poll
        for one in self.tracked.values():
            if not one.outstanding:
                continue
            changed = take_answers(one, self._objects, self._report)
            if not one.outstanding:
                one.patience = 0.0
            elif self._clock() >= one.due:
                one.patience = 2.0 * (one.patience or self.config.announce_again / 2.0)
                one.due = self._clock() + one.patience
                announce_anew(one)
            if changed:
                self._save(one)
        self.spool_bytes, gone = retention.prune(
            self.spool.folder, self.tracked, self.config.budget * 1e9, self._report)
        for name in gone:
            del self.tracked[name]
            self._ledgers.forget(name)

    def _save(self, one: Tracked) -> None:
        try:
            self._ledgers.save(one.episode.name, one.ledger)
        except SpoolError as error:
            # A full disk: what it would have said is found again by listing.
            self._report(str(error))
