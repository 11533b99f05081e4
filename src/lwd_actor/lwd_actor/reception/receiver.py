# SPDX-License-Identifier: Apache-2.0
"""Takes published policies onto the shelf.

What arrives is heard in one thread and is only put in its place there; `work` does what takes time
in another. Every refusal has a reason. A publication whose stamp is not later than that of the
newest one ever accepted is a replay, whatever it says.
"""

from __future__ import annotations

import math
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from lwd_actor.errors import DiskError, FetchError
from lwd_actor.reception.assembly import Assembly
from lwd_actor.reception.chooser import Chooser
from lwd_actor.reception.config import ReceiverConfig
from lwd_actor.reception.fetch import fetch
from lwd_actor.reception.judge import Judge, judged
from lwd_actor.reception.request import Request
from lwd_actor.reception.settled import Settled
from lwd_policy.errors import DeltaError, PolicyError, ShelfError
from lwd_policy.manifest import Manifest
from lwd_policy.shelf import ShelfWriter
from lwd_policy.signature import TrustedKeys

_LONGEST_WAIT = 30.0
# Between two questions: whatever was lost, it is mended within seconds.
_LONGEST_SILENCE = 5.0
# Of a request: more are asked for when these are there.
_INDICES = 1000


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
        self._chooser = Chooser(shelf, rank=rank, on_change=on_change)
        self._keys, self._judge, self._clock, self._tell = keys, judge, clock, on_change
        # Guards all that follows, and the shelf's choice; never held while something takes time.
        self._changed = threading.Condition()
        self._offer: Manifest | None = None
        self._assembly: Assembly | None = None
        self._needs_full = False
        self._working = False
        self._settled = Settled(clock)
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
            if self._chooser.is_old(offer, self._offer) or offer in self._settled:
                return
            before, self._offer = self._offer, offer
            unserved = self._assembly is None or (self._needs_full and not offer.base)
            if before is None or before.version != offer.version or (
                    unserved and not self._working):
                self._pursue(offer)

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
            if offer is not None and self._settled.returns(offer):
                # There was no room; perhaps there is now.
                self._pursue(offer)
                assembly = self._assembly
            wait = 0.0 if self._needs_full and not self._waited else min(
                self.config.patience * 2**self._waited,
                max(self.config.patience, _LONGEST_SILENCE))
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
            offer, assembly = self._offer, self._assembly
            if assembly is not None and assembly.complete:
                return
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
        superseded = self._assembly is not assembly
        if not superseded:
            self._assembly = None
        offer = self._offer
        if offer is None or self._assembly is not None:
            return
        if (self._needs_full and not offer.base) or (superseded and not self._needs_full):
            # The full weights that are needed now, or something newer, came meanwhile.
            self._pursue(offer)

    def _take(self, assembly: Assembly, running: Path | None) -> None:
        offer = assembly.manifest
        try:
            if not assembly.complete:
                fetch(assembly, go_on=lambda: self._assembly is assembly and not self._closed)
            if not assembly.complete:
                return
            base = self.shelf.path(offer.base) if offer.base else None
            with judged(assembly, self._judge, base=base, running=running) as folder, (
                    self._changed):
                self._judge.moved(self.shelf.add(folder, offer.version))
                if self._offer is not None and self._offer.version == offer.version:
                    self._adopt(self._offer)
                self.shelf.keep(self.config.keep)
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
        try:
            self._chooser.adopt(offer)
        except ShelfError as error:
            self._refuse(offer, str(error), again=True)

    def _refuse(
        self, offer: Manifest, reason: str, *, again: bool = False, settle: bool = True,
    ) -> None:
        with self._changed:
            if settle:
                self._settled.settle(offer, _LONGEST_WAIT if again else math.inf)
            self._chooser.refuse(offer.version, reason)

    @property
    def refused(self) -> int:
        """Policies refused since start."""
        return self._chooser.refused

    @property
    def last_refusal(self) -> tuple[str, str]:
        """(version, reason)."""
        return self._chooser.last_refusal

    def roll_back(self, version: str = '', *, pin: bool = False) -> str:
        """Have an earlier policy run, by hand; see Chooser.roll_back."""
        with self._changed:
            return self._chooser.roll_back(version, pin=pin)

    def unpin(self) -> str:
        """Follow new policies again; see Chooser.unpin."""
        with self._changed:
            return self._chooser.unpin(self._offer)

    def fault(self, version: str, reason: str) -> str:
        """Go back from a policy that misbehaves; see Chooser.fault."""
        with self._changed:
            return self._chooser.fault(version, reason)

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
