# SPDX-License-Identifier: Apache-2.0
"""Sends the newest published policy to the robots, and again what they lack of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

from lwd_learner_bridge.errors import OfferError
from lwd_learner_bridge.fleet import Fleet
from lwd_learner_bridge.offers import Offer, Offers
from lwd_learner_bridge.rollout import Rollout
from lwd_policy.errors import PolicyError
from lwd_policy.manifest import Manifest
from lwd_policy.published import Publication, Published

_RELEASED = '.released'
_RARELY = 10.0


@dataclass(frozen=True)
class SendConfig:
    """How payloads are sent."""

    window: int = field(default=6, metadata={'range': (1, 200)})
    """Parts that may be on their way; robots acknowledge them before more are sent. What is more
    than the middleware's shared memory, half a megabyte, would be lost and sent again."""
    deltas: int = field(default=2, metadata={'range': (0, 16)})
    """Payloads of differences made at most, each to a version that many robots have."""
    remind: float = field(default=1.0, metadata={'range': (0.1, 3600.0)})
    """After which time the manifest is said again while a robot lacks the policy, s; then after
    twice as long, up to ten times."""


class Outlet(Protocol):
    """What the publisher speaks through."""

    def manifest(self, manifest: Manifest) -> None:
        """Latch a manifest."""

    def part(self, manifest: Manifest, index: int, data: bytes) -> None:
        """Send a part."""

    def flush(self) -> None:
        """Wait, with a limit, until those who listen have what was sent."""

    def listeners(self) -> int:
        """Return how many hear parts."""


class Publisher:
    """Sends in one thread (`step`); hears requests in others."""

    def __init__(
        self, published: Published, offers: Offers, fleet: Fleet, outlet: Outlet, *,
        rollout: Rollout | None = None, config: SendConfig | None = None,
        on_change: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Send what is in a folder.

        Args:
            published: Of the learner.
            offers: Makes payloads.
            fleet: Says what robots have.
            outlet: Where to.
            rollout: Decides on stages.
            config: Options.
            on_change: Told what happened, for a log.
            clock: Monotonic, s.
        """
        self.published, self.rollout = published, rollout or Rollout()
        self.config = config or SendConfig()
        self.current: Publication | None = None
        """That is being offered."""
        self.staged = False
        """Whether only the first robots may take it."""
        self._offers, self._fleet, self._outlet, self._tell = offers, fleet, outlet, on_change
        self._latched: Manifest | None = None
        self._clock = clock
        self._remind_at, self._remind_after = 0.0, self.config.remind
        # Guards what is wanted; never held while something is sent.
        self._wanted = threading.Condition()
        self._parts: dict[str, set[int]] = {}
        self._full = False
        self._sending_full = False

    def step(self, timeout: float) -> None:
        """Do the next thing there is to do, or wait for a request.

        Raises:
            OfferError, PolicyError: What is published cannot be sent; try again later.
        """
        latest = self.published.latest()
        if latest is not None and (
                self.current is None or latest.stamp_ns > self.current.stamp_ns):
            try:
                self._start(latest)
            except (OfferError, PolicyError):
                # Once more later.
                self.current = None
                raise
        elif self.staged and self.rollout.verdict() != 'wait':
            self._decide()
        elif not (self._serve() or self._remind()):
            with self._wanted:
                self._wanted.wait_for(lambda: self._full or self._parts, timeout)

    def _start(self, latest: Publication) -> None:
        first = self.rollout.config.first
        if latest.stamp_ns <= self._released():
            first = 0
        with self._wanted:
            self.current, self.staged = latest, bool(first)
            self._parts, self._full, self._latched = {}, False, None
            self._offers.start(latest, rollout_first=first)
        self.rollout.start(latest.version)
        bases = {publication.version: publication for publication in self.published.all()
                 if publication.whole and publication.version != latest.version}
        chosen, full = self._fleet.plan(latest.version, list(bases), deltas=self.config.deltas)
        self._tell(
            f'policy {latest.version[:12]}, update {latest.update}: {len(chosen)} deltas'
            f'{", full weights" if full or not chosen else ""}'
            f'{f", first to {first} robots" if first else ""}')
        sent = set()
        for base in chosen:
            offer = self._offers.get(latest, bases[base])
            if offer.manifest.payload_sha256 not in sent:
                sent.add(offer.manifest.payload_sha256)
                self._send(offer, range(len(offer.manifest.part_sha256)))
        if full or not chosen:
            offer = self._offers.get(latest)
            if offer.manifest.payload_sha256 not in sent:
                self._send(offer, range(len(offer.manifest.part_sha256)))
        self._remind_after = self.config.remind
        self._remind_at = self._clock() + self._remind_after

    def _remind(self) -> bool:
        """Say again what is offered if a robot seems not to know; returns whether it was said.

        A manifest that was lost, or came when a robot was busy with another one, would leave it
        behind until the next policy: it asks for nothing that it has not heard of.
        """
        if self.current is None or self._latched is None or self._clock() < self._remind_at:
            return False
        if not self._fleet.lacking(self.current.version):
            self._remind_at = self._clock() + self.config.remind
            return False
        self._remind_after = min(2.0 * self._remind_after, _RARELY * self.config.remind)
        self._remind_at = self._clock() + self._remind_after
        self._latch(self._latched)
        return True

    def _decide(self) -> None:
        """End the first stage, one way or the other."""
        assert self.current is not None  # noqa: S101  nothing else is staged
        current, verdict = self.current, self.rollout.verdict()
        if verdict == 'go':
            self._tell(f'policy {current.version[:12]} goes to all: {self.rollout.describe()}')
            self._release(current)
            with self._wanted:
                self.staged = False
                self._offers.release()
                latched = self._latched
            if latched is not None:
                offer = self._offers.find(latched.payload_sha256)
                self._latch(offer.manifest if offer else replace(latched, rollout_first=0))
            return
        before = next((one for one in self.published.all()
                       if one.version != current.version and one.whole
                       and one.stamp_ns < current.stamp_ns), None)
        self._tell(f'policy {current.version[:12]} is taken back: {self.rollout.describe()}'
                   f'{"" if before else "; there is none before it to go back to"}')
        self.staged = False
        if before is not None:
            again = self.published.add(
                before.folder, update=before.update, snapshot=before.snapshot,
                metrics=before.metrics)
            # It ran on all of them.
            self._release(again)

    def _released(self) -> int:
        """Return the stamp of the newest publication that may go to all, over restarts."""
        try:
            return int((self.published.folder / _RELEASED).read_text())
        except (OSError, ValueError):
            return 0

    def _release(self, publication: Publication) -> None:
        path = self.published.folder / _RELEASED
        part = path.with_name(f'{_RELEASED}.part')
        try:
            part.write_text(str(publication.stamp_ns))
            part.replace(path)
        except OSError as error:
            raise OfferError(f'{path} cannot be written: {error}') from error

    def request(
        self, version: str, payload_sha256: str, indices: Iterable[int],
    ) -> tuple[bool, str, int]:
        """Hear what a robot lacks.

        Args:
            version: Of the policy.
            payload_sha256: Of the payload; empty for the full weights.
            indices: Of parts; none for all.

        Returns:
            (whether it will be sent, why not, how many parts will be).
        """
        with self._wanted:
            if self.current is None or self.current.version != version:
                offered = self.current.version[:12] if self.current else 'none'
                return False, f'version {version[:12]} is not offered now, but {offered}', 0
            if not payload_sha256:
                # Who hears only the end of what is being sent asks for the beginning later.
                self._full = not self._sending_full
                self._wanted.notify_all()
                return True, 'the full weights will be sent', 0
            offer = self._offers.find(payload_sha256)
            if offer is None:
                return False, (f'there is no payload {payload_sha256[:12]} any more; ask for the '
                               'full weights'), 0
            count = len(offer.manifest.part_sha256)
            chosen = set(indices) or set(range(count))
            if not chosen <= set(range(count)):
                return False, f'parts are 0 .. {count - 1}; {max(chosen)} is not one of them', 0
            self._parts.setdefault(payload_sha256, set()).update(chosen)
            self._wanted.notify_all()
            return True, '', len(chosen)

    def _serve(self) -> bool:
        """Send what robots asked for; returns whether there was anything."""
        with self._wanted:
            parts, self._parts = self._parts, {}
            full, self._full = self._full, False
            current = self.current
        if current is None or not (parts or full):
            return False
        if full:
            offer = self._offers.get(current)
            parts[offer.manifest.payload_sha256] = set(range(len(offer.manifest.part_sha256)))
        for payload_sha256, indices in parts.items():
            found = self._offers.find(payload_sha256)
            if found is not None:
                # Who asks may have lost the manifest too, or was busy when it came.
                self._latched = None
                self._send(found, sorted(indices))
        return True

    def _latch(self, manifest: Manifest) -> None:
        self._latched = manifest
        self._outlet.manifest(manifest)

    def _send(self, offer: Offer, indices: Iterable[int]) -> None:
        with self._wanted:
            self._sending_full = offer.manifest.encoding == 'full'
        try:
            self._send_parts(offer, indices)
        finally:
            with self._wanted:
                self._sending_full = False

    def _send_parts(self, offer: Offer, indices: Iterable[int]) -> None:
        manifest = offer.manifest
        if self._latched != manifest:
            self._latch(manifest)
        if manifest.url or not self._outlet.listeners():
            # Who comes later asks.
            return
        wanted = list(indices)
        for number, index in enumerate(wanted, start=1):
            self._outlet.part(manifest, index, offer.part(index))
            if number % self.config.window == 0 and number < len(wanted):
                # Not after the last ones: for so little the middleware asks for acknowledgements
                # only every three seconds, and nothing more is to come.
                self._outlet.flush()
                if self._superseded():
                    return

    def _superseded(self) -> bool:
        try:
            latest = self.published.latest()
        except PolicyError:
            return False
        return latest is not None and self.current is not None and (
            latest.stamp_ns > self.current.stamp_ns)
