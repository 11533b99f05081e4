# SPDX-License-Identifier: Apache-2.0
"""The coordinator: checks what robots uploaded, registers it exactly once, and answers.

A notice leaves the inbox when its answer is in the store, which is after its segment is in the
catalogue. Cut off anywhere in between, it is taken again, and comes to the same end.
"""

from __future__ import annotations

import functools
import queue
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

from lwd_data.errors import CatalogueError
from lwd_data.replay.catalogue import Catalogue
from lwd_data.replay.snapshot import Snapshot
from lwd_learner_bridge.errors import (
    DamagedError,
    MissingError,
    NoticeError,
    RefusedError,
    TransferError,
)
from lwd_learner_bridge.ingest.answering import Answerer
from lwd_learner_bridge.ingest.bag import write_metadata
from lwd_learner_bridge.ingest.config import Counts, IngestConfig
from lwd_learner_bridge.ingest.examine import Examined, Examiner
from lwd_learner_bridge.ingest.fetch import drop, remove_remains
from lwd_learner_bridge.ingest.namesakes import Namesakes
from lwd_learner_bridge.ingest.quarantine import quarantine
from lwd_learner_bridge.ingest.rebuild import restore
from lwd_learner_bridge.ingest.registrations import registered_answer
from lwd_learner_bridge.store import names
from lwd_learner_bridge.store.notice import Answer, Notice, decode_answer, decode_notice, encode
from lwd_learner_bridge.store.objects import Objects
from lwd_learner_bridge.upload.pacing import Backoff


class Coordinator:
    """Takes notices. Not thread-safe, but for `announce`."""

    def __init__(
        self, objects: Objects, replay: Path, config: IngestConfig | None = None, *,
        report: Callable[[str], None] = lambda _: None,
        publish: Callable[[Snapshot], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic, executor: Executor | None = None,
    ) -> None:
        """Open the catalogue, and bring it up to what was answered before.

        Args:
            objects: Where robots upload to.
            replay: Folder of the catalogue, and of copies if the store is none on this machine.
            config: How.
            report: Told what a person should know, a sentence each.
            publish: Called with each new snapshot.
            clock: Monotonic, s.
            executor: Where answers are given; a thread by default.

        Raises:
            CatalogueError: The catalogue cannot be opened.
            TransferError: The store does not answer.
        """
        self.config = config or IngestConfig()
        self.counts = Counts()
        self.failure = ''
        """Why a notice could not be taken at present; it stays in the inbox."""
        self.waiting = 0
        """Notices in the inbox at the last look."""
        self.namesakes = Namesakes()
        self._objects, self._replay, self._report = objects, replay, report
        self._publish, self._clock = publish, clock
        self._announced: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._pending: dict[str, Examined] = {}
        self._later: dict[str, tuple[float, Backoff]] = {}
        self._next_list = self._next_snapshot = 0.0
        remove_remains(replay)
        self.catalogue = Catalogue(replay)
        try:
            restored = restore(self.catalogue, objects, replay, report)
        except BaseException:
            self.catalogue.close()
            raise
        self._answerer = Answerer(objects, executor)
        self._examiner = Examiner(objects, replay, self.catalogue, report)
        if restored:
            report(f'{restored} segments were answered and not in the catalogue: added again')

    def close(self) -> None:
        """Close the catalogue; what is pending stays in the inbox."""
        self._answerer.close()
        self.catalogue.close()

    def announce(self, key: str) -> None:
        """Tell of a notice in the inbox; from any thread."""
        self._announced.put(key)

    def work(self) -> float:
        """Take what is there; returns after how many seconds to call again.

        Announced notices may come at any time: call earlier when one does.
        """
        for key, error in self._answerer.failures().items():
            self._wait_with(key, str(error))
        keys = dict.fromkeys(self._heard())
        now = self._clock()
        if now >= self._next_list:
            self._next_list = now + self.config.list_period
            keys |= dict.fromkeys(self._listed())
        for key in keys:
            self._attempt(key)
            if self._pending and self._clock() >= self._next_snapshot:
                self._register()
        if self._pending and self._clock() >= self._next_snapshot:
            self._register()
        wake = min(self._next_list, self._next_snapshot if self._pending else self._next_list)
        return max(0.0, wake - self._clock())

    def _heard(self) -> list[str]:
        found = []
        while True:
            try:
                found.append(self._announced.get_nowait())
            except queue.Empty:
                return found

    def _listed(self) -> list[str]:
        try:
            found = self._objects.names(names.INBOX)
        except TransferError as error:
            self._failed(str(error))
            return []
        self.waiting = len(found)
        self._later = {key: self._later[key] for key in found if key in self._later}
        if not self._later:
            self.failure = ''
        return found

    def _failed(self, text: str) -> None:
        if not self.failure:
            self._report(text)
        self.failure = text

    def _attempt(self, key: str) -> None:
        if key in self._pending or self._answerer.is_giving(key):
            return
        if key in self._later and self._clock() < self._later[key][0]:
            return
        try:
            self._take(key)
        except TransferError as error:
            self._wait_with(key, str(error))

    def _wait_with(self, key: str, text: str) -> None:
        _, backoff = self._later.get(key, (0.0, Backoff(longest=self.config.longest_wait)))
        self._later[key] = (self._clock() + backoff.failed(), backoff)
        self._failed(text)

    def _take(self, key: str) -> None:
        try:
            data = self._objects.read(key)
        except MissingError:
            # Taken already, and announced a second time.
            return
        try:
            notice = decode_notice(data, key)
            if notice.key != key:
                raise NoticeError(f'{key} holds the notice {notice.key}: it was renamed')
        except NoticeError as error:
            self._report(f'quarantined: {error}')
            self.counts.quarantined += 1
            quarantine(self._objects, key, str(error))
            return
        if problem := self.namesakes.hear(notice):
            self._report(problem)
        try:
            self._pending[key] = self._examiner.examine(notice, self._pending.values())
        except RefusedError as error:
            self._refuse(notice, str(error))
        except (DamagedError, MissingError) as error:
            self._ask_again(notice, error)

    def _register(self) -> None:
        """Register what is pending, as one snapshot, and answer it."""
        self._next_snapshot = self._clock() + self.config.snapshot_period
        pending, self._pending = self._pending, {}
        before = self.catalogue.snapshot()
        try:
            self.catalogue.register([one.entry for one in pending.values() if one.entry])
            taken = pending
        except CatalogueError as error:
            if isinstance(error.__cause__, (OSError, sqlite3.Error)):
                for key in pending:
                    self._wait_with(key, str(error))
                return
            taken = self._register_singly(pending)
        after = self.catalogue.snapshot()
        if after != before:
            self._publish(after)
        for one in taken.values():
            self.counts.registered += one.new
            self.counts.repeated += not one.new
            self._answerer.give(
                registered_answer(self.catalogue, one.notice), one.path, self._as_bag(one))

    def _as_bag(self, one: Examined) -> Callable[[], None] | None:
        """Return what makes an episode a bag, if nothing of it is missing."""
        registered = self.catalogue.segments_of(one.notice.episode)
        if one.entry is None or not one.notice.revision or (
                len(registered) < one.notice.segments):
            return None
        _, custom = self.catalogue.described(one.notice.episode) or (0, '{}')
        return functools.partial(write_metadata, one.entry.episode.folder, registered, custom)

    def _register_singly(self, pending: dict[str, Examined]) -> dict[str, Examined]:
        """Register one after the other, so that a refused one does not hold up the rest."""
        taken = {}
        for key, one in pending.items():
            try:
                self.catalogue.register([one.entry] if one.entry else [])
                taken[key] = one
            except CatalogueError as error:
                try:
                    self._refuse(one.notice, str(error))
                except TransferError as failure:
                    self._wait_with(key, str(failure))
        return taken

    def _answer(self, answer: Answer) -> None:
        self._objects.write(answer.notice.answer_key, encode(answer))
        self._objects.delete(answer.notice.key)

    def _refuse(self, notice: Notice, reason: str) -> None:
        self._report(f'quarantined: {reason}')
        self._examiner.forget(notice)
        self.counts.quarantined += 1
        # Before it is moved: without an answer a segment that is not there is asked for again.
        self._objects.write(notice.answer_key, encode(Answer(notice, 'quarantined', reason)))
        if notice.segment is not None and not self._is_registered(notice):
            drop(self._objects, self._replay, notice.segment_key)
            quarantine(self._objects, notice.segment_key, reason)
        self._objects.delete(notice.key)

    def _is_registered(self, notice: Notice) -> bool:
        """Return whether a notice is wrong about a segment that a learner may be reading."""
        segment = notice.segment
        known = segment and self.catalogue.find(notice.episode, segment.number)
        return bool(segment and known and known.sha256 == segment.sha256)

    def _ask_again(self, notice: Notice, error: DamagedError | MissingError) -> None:
        if isinstance(error, MissingError) and self._answered(notice):
            self._objects.delete(notice.key)
            return
        self._report(f'asked for again: {error}')
        self.counts.again += 1
        if isinstance(error, DamagedError):
            # Before the answer: the robot's next upload has the same name.
            drop(self._objects, self._replay, notice.segment_key)
            quarantine(self._objects, notice.segment_key, str(error))
        self._answer(Answer(notice, 'again', str(error)))

    def _answered(self, notice: Notice) -> bool:
        """Return whether the segment is missing because it was moved to the quarantine."""
        try:
            data = self._objects.read(notice.answer_key)
            return decode_answer(data, notice.answer_key).state == 'quarantined'
        except (MissingError, NoticeError):
            return False
