# SPDX-License-Identifier: Apache-2.0
"""Takes published policies onto the shelf, and chooses which one is to run.

What arrives is heard in one thread and is only put in its place there; `work` does what takes time
in another. Every refusal has a reason. A publication whose stamp is not later than that of the
newest one ever accepted is a replay, whatever it says.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lwd_actor.errors import DiskError, FetchError, ReceptionError
from lwd_actor.reception.assembly import Assembly
from lwd_actor.reception.fetch import fetch
from lwd_policy.errors import DeltaError, PolicyError, ShelfError
from lwd_policy.manifest import Manifest
from lwd_policy.payload import unpack
from lwd_policy.shelf import ShelfWriter
from lwd_policy.signature import TrustedKeys

_LONGEST_WAIT = 30.0
# Of a request: more are asked for when these are there.
_INDICES = 1000


@dataclass(frozen=True)
class ReceiverConfig:
    """How policies are taken."""

    keep: int = field(default=5, metadata={'range': (2, 1000)})
    """Versions that stay on the shelf, beside the one that runs and the good one before it."""
    max_bytes: int = field(default=4_000_000_000, metadata={'range': (1, 1_000_000_000_000)})
    """Size of a policy at most."""
    patience: float = field(default=1.0, metadata={'range': (0.01, 60.0)})
    """How long no part comes before the missing ones are asked for, s; longer each time in
    vain."""


class Judge(Protocol):
    """What a policy must pass before it may run; see Trial."""

    def __call__(self, folder: Path, running: Path | None) -> None:
        """Raise a PolicyError for a policy that should not run."""

    def moved(self, folder: Path) -> None:
        """Hear where the policy that passed last lies now."""


@dataclass(frozen=True)
class Request:
    """What a robot asks the publisher for."""

    version: str
    payload_sha256: str
    """Empty for the full weights."""
    indices: tuple[int, ...]
    """Empty for all."""


class Receiver:
    """One robot's."""

    def __init__(
        self, shelf: ShelfWriter, keys: TrustedKeys | None, judge: Judge, *, rank: int = 1,
        config: ReceiverConfig | None = None, clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take policies.

        Args:
            shelf: Where they go.
            keys: That are trusted; None to take unsigned policies.
            judge: What a policy must pass.
            rank: Of the robot in its fleet, from 1: the first ones take a staged policy first.
            config: Options.
            clock: Monotonic, s.
            on_change: Told what happened, for a log.
        """
        self.shelf, self.config = shelf, config or ReceiverConfig()
        self.refused = 0
        """Policies refused since start."""
        self.last_refusal = ('', '')
        """(version, reason)"""
        self._keys, self._judge, self._rank, self._clock = keys, judge, rank, clock
        self._tell = on_change
        # Guards all that follows, and the shelf's choice; never held while something takes time.
        self._changed = threading.Condition()
        self._offer: Manifest | None = None
        self._assembly: Assembly | None = None
        self._needs_full = False
        self._working = False
        self._settled: dict[tuple[str, int], float] = {}
        self._heard_at = self._clock()
        self._waited = 0
        self._closed = False

    def manifest(self, offer: Manifest) -> None:
        """Hear of a policy."""
        try:
            offer.check(self._keys, limit=self.config.max_bytes)
        except PolicyError as error:
            # Not settled: one that is as signed may come under the same names.
            self._refuse(offer, str(error), settle=False)
            return
        with self._changed:
            if self._is_old(offer) or self._is_settled(offer):
                return
            before, self._offer = self._offer, offer
            unserved = self._assembly is None or (self._needs_full and not offer.base)
            if before is None or before.version != offer.version or (
                    unserved and not self._working):
                self._pursue(offer)

    def _is_old(self, offer: Manifest) -> bool:
        """Return whether there is nothing to do; refuses what is older than what was accepted."""
        choice = self.shelf.choice()
        newest = self._offer.stamp_ns if self._offer else 0
        if offer.stamp_ns == choice.accepted_ns and offer.version in (
                choice.version, *choice.history):
            return True
        if offer.stamp_ns <= choice.accepted_ns or offer.stamp_ns < newest or (
                offer.stamp_ns == newest and self._offer is not None
                and self._offer.version != offer.version):
            self._refuse(
                offer, f'policy {offer.version[:12]} was published before the newest one here '
                f'({max(choice.accepted_ns, newest) - offer.stamp_ns} ns): it is replayed, or '
                'there are two publishers; if the learner was set up anew, set its clock right',
                settle=False)
            return True
        if offer.version in choice.faulty:
            self._refuse(offer, f'policy {offer.version[:12]} ran here before, and '
                         f'{choice.faulty[offer.version]}; choose it by hand to run it again',
                         settle=False)
            return True
        return False

    def _is_settled(self, offer: Manifest) -> bool:
        """Return whether it was refused already, and not long ago for want of room."""
        return self._settled.get(_name(offer), 0.0) > self._clock()

    def _pursue(self, offer: Manifest) -> None:
        """Have a policy run that is on the shelf, or get it there."""
        self._drop_assembly()
        if offer.version in self.shelf.versions():
            self._adopt(offer)
        else:
            self._begin(offer)

    def _begin(self, offer: Manifest) -> None:
        self._needs_full = bool(offer.base) and offer.base not in self.shelf.versions()
        self._heard_at, self._waited = self._clock(), 0
        if self._needs_full:
            return
        try:
            folder = self.shelf.scratch('incoming')
            try:
                self._assembly = Assembly(offer, folder)
            except DiskError:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        except (DiskError, ShelfError) as error:
            self._refuse(offer, str(error), again=True)
            return
        if offer.url:
            self._changed.notify_all()

    def _drop_assembly(self) -> None:
        if self._assembly is not None and not self._working:
            self._assembly.close()
            shutil.rmtree(self._assembly.folder, ignore_errors=True)
        self._assembly = None

    def part(
        self, version: str, payload_sha256: str, index: int, data: bytes | memoryview,
    ) -> None:
        """Hear a part; those of other payloads are passed over."""
        with self._changed:
            assembly = self._assembly
            if assembly is None or assembly.manifest.payload_sha256 != payload_sha256 or (
                    assembly.manifest.version != version):
                return
            try:
                taken = assembly.take(index, data)
            except DiskError as error:
                self._drop_assembly()
                self._refuse(assembly.manifest, str(error), again=True)
                return
            if taken:
                self._heard_at, self._waited = self._clock(), 0
                self._needs_full = False
            if assembly.complete:
                self._changed.notify_all()

    def wanted(self) -> Request | None:
        """Return what to ask the publisher for now; call it a few times a second."""
        with self._changed:
            offer, assembly = self._offer, self._assembly
            if offer is not None and self._settled.get(_name(offer), 1e300) <= self._clock():
                # There was no room; perhaps there is now.
                del self._settled[_name(offer)]
                self._pursue(offer)
                assembly = self._assembly
            wait = 0.0 if self._needs_full and not self._waited else min(
                self.config.patience * 2**self._waited, _LONGEST_WAIT)
            if offer is None or self._clock() - self._heard_at < wait:
                return None
            if self._needs_full:
                self._heard_at, self._waited = self._clock(), self._waited + 1
                return Request(offer.version, '', ())
            if assembly is None or assembly.complete or assembly.manifest.url:
                return None
            self._heard_at, self._waited = self._clock(), self._waited + 1
            return Request(
                offer.version, assembly.manifest.payload_sha256,
                tuple(assembly.missing()[:_INDICES]))

    def unavailable(self, request: Request) -> None:
        """Hear that the publisher has no such payload any more."""
        with self._changed:
            offer = self._offer
            if request.payload_sha256 and offer is not None and offer.version == request.version:
                # What has come so far stays: perhaps the rest does come, from another publisher.
                self._needs_full = True

    def work(self, timeout: float | None = None) -> bool:
        """Wait for a payload that is there, or can be fetched, and deal with it.

        Call it again and again in a thread of its own.

        Returns:
            False after `close`.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._ready(), timeout)
            if self._closed or not self._ready() or self._assembly is None:
                return not self._closed
            assembly, self._working = self._assembly, True
            choice = self.shelf.choice()
            running = self.shelf.path(choice.version) if choice.version in (
                self.shelf.versions()) else None
        try:
            self._take(assembly, running)
        finally:
            with self._changed:
                self._working = False
                self._end(assembly)
        return True

    def _ready(self) -> bool:
        assembly = self._assembly
        return assembly is not None and (assembly.complete or (
            bool(assembly.manifest.url) and self._clock() >= self._heard_at))

    def _end(self, assembly: Assembly) -> None:
        """Leave nothing of an assembly that was worked on, unless it goes on."""
        if self._assembly is assembly and not assembly.complete:
            return
        assembly.close()
        shutil.rmtree(assembly.folder, ignore_errors=True)
        if self._assembly is assembly:
            self._assembly = None
        elif self._offer is not None and self._assembly is None and not self._needs_full:
            # Something newer came meanwhile.
            self._pursue(self._offer)

    def _take(self, assembly: Assembly, running: Path | None) -> None:
        offer = assembly.manifest
        try:
            if not assembly.complete:
                fetch(assembly, go_on=lambda: self._assembly is assembly and not self._closed)
            if not assembly.complete:
                return
            assembly.close()
            folder = assembly.folder.with_name(f'{assembly.folder.name}.policy.part')
            folder.mkdir()
            try:
                base = self.shelf.path(offer.base) if offer.base else None
                unpack(assembly.file, offer, folder, base=base)
                self._judge(folder, running)
                with self._changed:
                    self._judge.moved(self.shelf.add(folder, offer.version))
                    if self._offer is not None and self._offer.version == offer.version:
                        self._adopt(self._offer)
                    self.shelf.keep(self.config.keep)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        except FetchError as error:
            with self._changed:
                self._waited += 1
                self._heard_at = self._clock() + min(
                    self.config.patience * 2**self._waited, _LONGEST_WAIT)
            self._refuse(offer, str(error), again=True, settle=False)
        except (DiskError, OSError) as error:
            self._refuse(offer, str(error), again=True)
        except (DeltaError, ShelfError) as error:
            if not offer.base:
                self._refuse(offer, str(error), again=True)
                return
            # The base is not what it was: the full weights do not need it.
            self._tell(f'{error}; the full weights are asked for')
            with self._changed:
                self._needs_full, self._waited = True, 0
        except PolicyError as error:
            full_disk = isinstance(error.__cause__, OSError)
            self._refuse(
                offer, f'policy {offer.version[:12]} is refused: {error}', again=full_disk)

    def _adopt(self, offer: Manifest) -> None:
        """Have a policy that is on the shelf run, if it may."""
        choice = self.shelf.choice()
        if choice.pinned or (offer.rollout_first and self._rank > offer.rollout_first):
            return
        if offer.stamp_ns <= choice.accepted_ns or offer.version in choice.faulty:
            return
        try:
            self.shelf.select(offer.version, accepted_ns=offer.stamp_ns)
        except ShelfError as error:
            self._refuse(offer, str(error), again=True)
            return
        self._tell(f'policy {offer.version[:12]} is to run, update {offer.update}')

    def _refuse(
        self, offer: Manifest, reason: str, *, again: bool = False, settle: bool = True,
    ) -> None:
        with self._changed:
            if settle:
                self._settled[_name(offer)] = (
                    self._clock() + _LONGEST_WAIT if again else float('inf'))
            if self.last_refusal != (offer.version, reason):
                self.refused += 1
                self.last_refusal = (offer.version, reason)
                self._tell(f'refused: {reason}')

    def roll_back(self, version: str = '', *, pin: bool = False) -> str:
        """Have an earlier policy run, by hand; returns its version.

        Args:
            version: On the shelf; empty for the good one before the present one.
            pin: Keep to it.

        Raises:
            ReceptionError, ShelfError: There is none.
        """
        with self._changed:
            choice = self.shelf.choice()
            chosen = version or self.shelf.previous_good()
            if not chosen:
                raise ReceptionError(
                    'no good policy ran before the present one; name one of those on the shelf: '
                    f'{", ".join(one[:12] for one in self.shelf.versions()) or "none"}')
            faulty = dict(choice.faulty)
            faulty.pop(chosen, None)
            if choice.version and choice.version != chosen and not version:
                faulty[choice.version] = 'was rolled back by hand'
            self.shelf.select(chosen, pin, faulty=faulty)
            self._tell(f'policy {chosen[:12]} is to run, chosen by hand'
                       f'{", and kept" if pin else ""}')
            return chosen

    def unpin(self) -> str:
        """Follow new policies again; returns the version that is to run now.

        Raises:
            ShelfError: The disk refuses.
        """
        with self._changed:
            self.shelf.change(pinned=False)
            if self._offer is not None and self._offer.version in self.shelf.versions():
                self._adopt(self._offer)
            self._tell('unpinned')
            return self.shelf.choice().version

    def fault(self, version: str, reason: str) -> str:
        """Go back from a policy that misbehaves; returns the version that is to run then.

        Raises:
            ShelfError: The disk refuses.
        """
        with self._changed:
            choice = self.shelf.choice()
            if not version or version != choice.version or version in choice.faulty:
                return choice.version
            self.shelf.change(faulty={**choice.faulty, version: reason})
            good = self.shelf.previous_good()
            self.refused += 1
            self.last_refusal = (version, reason)
            if not good:
                self._tell(f'fault: {reason}; there is no good policy before it to go back to')
                return version
            # A pin is kept to by going back: a pinned fault would be one for ever.
            self.shelf.select(good, choice.pinned)
            self._tell(f'rolled back from {version[:12]} to {good[:12]}: {reason}')
            return good

    def pending(self) -> tuple[str, int, int]:
        """Return (version being received or tried, parts received, parts in all)."""
        with self._changed:
            if self._assembly is not None:
                manifest = self._assembly.manifest
                return (manifest.version, self._assembly.received, len(manifest.part_sha256))
            return (self._offer.version if self._needs_full and self._offer else '', 0, 0)

    def close(self) -> None:
        """Have `work` return, and take nothing more."""
        with self._changed:
            self._closed = True
            self._drop_assembly()
            self._offer = None
            self._changed.notify_all()


def _name(offer: Manifest) -> tuple[str, int]:
    """Return what tells one way to get a publication from another."""
    return offer.payload_sha256, offer.stamp_ns
