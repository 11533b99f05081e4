# SPDX-License-Identifier: Apache-2.0
"""What of a spool is to be uploaded next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lwd_learner_bridge.store.notice import Notice, SegmentFacts
from lwd_learner_bridge.upload.ledger import Ledger
from lwd_learner_bridge.upload.spool import ClosedSegment, SpooledEpisode

FAILURE = 'failure'


@dataclass
class Tracked:
    """An episode with what is remembered of it."""

    episode: SpooledEpisode
    ledger: Ledger
    fresh: bool = False
    """Whether its ledger is new, so that the store may have answers from before."""
    failures: int = 0
    """Uploads of it that failed in a row."""
    due: float = 0.0
    """When what is not answered is announced again, monotonic s."""
    patience: float = 0.0
    """How long that waits, s; doubles each time."""

    @property
    def urgent(self) -> bool:
        """Whether a human intervened, or it failed: what a policy learns most from."""
        return self.episode.label == FAILURE or any(
            entry.intervention for entry in self.ledger.segments.values())

    def next_segment(self) -> ClosedSegment | None:
        """Return the first segment that is inspected and waits."""
        return next((segment for segment in self.episode.segments
                     if (entry := self.ledger.segments.get(segment.number)) is not None
                     and entry.state == 'waiting'), None)

    @property
    def facts_wait(self) -> bool:
        """Whether a label waits that no segment's notice will carry."""
        return (self.ledger.revision > 0 and self.ledger.facts_state == 'waiting'
                and len(self.ledger.segments) == len(self.episode.segments)
                and self.next_segment() is None)

    @property
    def outstanding(self) -> bool:
        """Whether something is uploaded and not answered."""
        return self.ledger.facts_state == 'uploaded' or any(
            entry.state == 'uploaded' for entry in self.ledger.segments.values())

    def notice(self, segment: ClosedSegment | None, machine: str) -> Notice:
        """Return what to say of a segment; None: of the episode alone."""
        facts = None
        attempt = 0
        if segment is not None:
            entry = self.ledger.segments[segment.number]
            attempt = entry.attempt
            facts = SegmentFacts(
                segment.number, entry.size, entry.sha256, segment.begin_ns, segment.end_ns,
                segment.recovered, entry.intervention)
        episode = self.episode
        return Notice(
            episode.robot, episode.name, machine, self.ledger.revision, len(episode.segments),
            episode.custom, facts, attempt)


def following(tracked: Iterable[Tracked]) -> Tracked | None:
    """Return the episode whose upload goes on; None if there is nothing to upload.

    Episodes that failed to upload less often come first, then those with interventions or a
    failure, then the newest: what happens now reaches the learner in about a second also while a
    backlog of days drains.
    """
    waiting = [one for one in tracked if one.next_segment() is not None or one.facts_wait]
    return min(waiting, default=None, key=lambda one: (
        one.failures, not one.urgent, -one.episode.begin_ns, one.episode.name))
