# SPDX-License-Identifier: Apache-2.0
"""From a notice to what is to be registered, or to why it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from lwd_data.errors import IndexFileError
from lwd_data.replay.catalogue import Catalogue
from lwd_data.replay.index import SegmentIndex, ensure_index
from lwd_data.replay.ingest import Entry
from lwd_learner_bridge.errors import RefusedError
from lwd_learner_bridge.ingest.check import check
from lwd_learner_bridge.ingest.facts import NewestFacts
from lwd_learner_bridge.ingest.fetch import fetch, place
from lwd_learner_bridge.ingest.registrations import check_facts, entry, episode_record
from lwd_learner_bridge.store import names
from lwd_learner_bridge.store.notice import Notice, SegmentFacts
from lwd_learner_bridge.store.objects import Objects


class Examined(NamedTuple):
    """A notice that may be registered."""

    notice: Notice
    entry: Entry | None
    """What to register; None: nothing, as the episode has no segment yet."""
    new: bool
    """Whether its segment is not in the catalogue yet."""
    path: Path | None
    """Where its segment lies; None if it is about none."""


class Examiner:
    """Looks at notices and their segments. Changes nothing but indexes and copies."""

    def __init__(
        self, objects: Objects, replay: Path, catalogue: Catalogue, report: Callable[[str], None],
    ) -> None:
        """Examine what robots uploaded to a store.

        Args:
            objects: The store.
            replay: Where copies go, if it is none on this machine.
            catalogue: What is registered.
            report: Told of registered segments that are lost.
        """
        self._objects, self._replay = objects, replay
        self._catalogue, self._report = catalogue, report
        self._facts = NewestFacts(objects)

    def examine(self, notice: Notice, pending: Iterable[Examined]) -> Examined:
        """Return what to register of a notice.

        Args:
            notice: As it came.
            pending: Examined before, and not registered yet.

        Raises:
            RefusedError, DamagedError, MissingError, TransferError: See `check`.
        """
        check_facts(notice)
        text = self._facts.take(notice)
        segment = notice.segment
        if segment is None:
            return self._facts_alone(notice, text, pending)
        known = self._catalogue.find(notice.episode, segment.number)
        path = place(self._objects, self._replay, notice.segment_key)
        if known is None:
            path = fetch(self._objects, self._replay, notice.segment_key)
            check(path, notice, segment, self._others(notice, segment, path.parent, pending))
        elif known.sha256 != segment.sha256:
            raise RefusedError(
                f'segment {segment.number} of {notice.episode} is registered with SHA-256 '
                f'{known.sha256[:12]}, this one has {segment.sha256[:12]}: recorded data never '
                'changes. Are there two robots of one name?')
        return Examined(notice, entry(notice, segment, text, path), known is None, path)

    def forget(self, notice: Notice) -> None:
        """Take back what a notice said of its episode: it was refused."""
        self._facts.forget(notice)

    def _facts_alone(
        self, notice: Notice, text: str, pending: Iterable[Examined],
    ) -> Examined:
        registered = self._catalogue.segments_of(notice.episode) or [
            one.entry.segment for one in pending
            if one.entry and one.notice.episode == notice.episode]
        if not registered:
            # Its answer keeps what it says for the segments that may come.
            return Examined(notice, None, False, None)
        folder = place(self._objects, self._replay, names.segment_key(
            notice.robot, notice.episode, 0, '')).parent
        return Examined(
            notice, Entry(episode_record(notice, text, folder), registered[0]), False, None)

    def _others(
        self, notice: Notice, segment: SegmentFacts, folder: Path, pending: Iterable[Examined],
    ) -> dict[int, SegmentIndex]:
        files = {one.number: one.file for one in self._catalogue.segments_of(notice.episode)}
        files |= {one.entry.segment.number: one.entry.segment.file for one in pending
                  if one.new and one.entry and one.notice.episode == notice.episode}
        files.pop(segment.number, None)
        found = {}
        for number, file in files.items():
            try:
                found[number] = ensure_index(folder / file)
            except IndexFileError as error:
                # A file that was lost later is no fault of the new one.
                self._report(str(error))
        return found
