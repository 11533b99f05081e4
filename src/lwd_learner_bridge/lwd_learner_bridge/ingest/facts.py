# SPDX-License-Identifier: Apache-2.0
"""The newest that robots said of their episodes, in whatever order it came."""

from __future__ import annotations

from collections import OrderedDict

from lwd_learner_bridge.errors import MissingError, NoticeError
from lwd_learner_bridge.ingest.registrations import custom_text
from lwd_learner_bridge.store import names
from lwd_learner_bridge.store.notice import Notice, decode_answer
from lwd_learner_bridge.store.objects import Objects

_Rank = tuple[int, int]
_LAST = 1 << 31
_MOST = 4096


class NewestFacts:
    """custom_data by episode. What was answered before this process began is in the store."""

    def __init__(self, objects: Objects) -> None:
        """Know nothing yet."""
        self._objects = objects
        self._known: OrderedDict[tuple[str, str], tuple[_Rank, str]] = OrderedDict()

    def take(self, notice: Notice) -> str:
        """Return the newest custom_data of a notice's episode, JSON; its own may be older.

        Raises:
            TransferError: The store does not answer.
        """
        key = (notice.robot, notice.episode)
        known = self._known.get(key)
        if known is None:
            known = self._before(notice)
        own = (notice.revision, notice.segments)
        if known is None or own >= known[0]:
            known = (own, custom_text(notice.custom))
        self._known[key] = known
        self._known.move_to_end(key)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
        return known[1]

    def forget(self, notice: Notice) -> None:
        """Look into the store again next time: a notice was not taken after all."""
        self._known.pop((notice.robot, notice.episode), None)

    def _before(self, notice: Notice) -> tuple[_Rank, str] | None:
        folder = names.episode_folder(names.ANSWERS, notice.robot, notice.episode)
        found = []
        for key in self._objects.names(folder):
            parts = names.split_notice_name(key.rpartition('/')[2])
            if parts is not None:
                number, revision, _ = parts
                # Facts alone come after all segments of their revision.
                found.append((revision, _LAST if number is None else number, key))
        for *_, key in sorted(found, reverse=True):
            try:
                before = decode_answer(self._objects.read(key), key)
            except (NoticeError, MissingError):
                continue
            if before.state == 'registered':
                notice = before.notice
                return (notice.revision, notice.segments), custom_text(notice.custom)
        return None
