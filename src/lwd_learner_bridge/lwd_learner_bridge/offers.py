# SPDX-License-Identifier: Apache-2.0
"""Payloads of the policy that is published now: files, with signed manifests."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from lwd_learner_bridge.errors import OfferError
from lwd_policy.errors import PolicyError
from lwd_policy.manifest import PART_LIMIT, Manifest
from lwd_policy.payload import pack
from lwd_policy.published import Publication
from lwd_policy.signature import SigningKey

FOLDER = '.payloads'
MESSAGE_PART = 60_000
"""Bytes of a part in a message at most. The middleware (Fast DDS 2.14) cuts what does not fit into
a datagram of 64 kB into fragments; a reader that falls behind while it has some of them may never
return from taking a message, and its process with it."""


@dataclass(frozen=True)
class OfferConfig:
    """How payloads are made."""

    part_bytes: int = field(default=MESSAGE_PART, metadata={'range': (1000, MESSAGE_PART)})
    """Size of a part that is sent as a message. It fits into one datagram."""
    store_url: str = ''
    """Folder or bucket that robots fetch large payloads from, such as s3://lwd/policies;
    credentials come from the environment. Empty: everything goes by parts."""
    url_above: int = field(default=40_000_000, metadata={'range': (0, 1_000_000_000_000)})
    """Size of a payload, bytes, above which it goes to the store instead of by parts: up to there
    the manifest, which lists the parts, is no more than a datagram either."""


@dataclass(frozen=True)
class Offer:
    """One payload."""

    manifest: Manifest
    """Signed, if there is a key."""
    file: Path

    def part(self, index: int) -> bytes:
        """Return a part.

        Raises:
            OfferError: The file is gone.
        """
        try:
            with self.file.open('rb') as file:
                file.seek(index * self.manifest.part_bytes)
                return file.read(self.manifest.part_bytes)
        except OSError as error:
            raise OfferError(f'{self.file} cannot be read: {error}') from error


class Offers:
    """Makes payloads once, and keeps those of one publication."""

    def __init__(
        self, folder: Path, key: SigningKey | None, config: OfferConfig | None = None,
    ) -> None:
        """Make payloads in a folder; what an earlier run left there is removed.

        Args:
            folder: For the files.
            key: That signs; None for unsigned ones, which robots refuse by default.
            config: Options.
        """
        self.config = config or OfferConfig()
        self._folder, self._key = folder, key
        self._stamp_ns = 0
        self._first = 0
        self._made: dict[str, Offer] = {}
        shutil.rmtree(folder, ignore_errors=True)

    def start(self, publication: Publication, *, rollout_first: int) -> None:
        """Go over to another publication."""
        self._stamp_ns, self._first = publication.stamp_ns, rollout_first
        self._made = {}
        shutil.rmtree(self._folder, ignore_errors=True)

    def release(self) -> None:
        """Offer the same to all robots."""
        self._first = 0
        self._made = {
            base: replace(offer, manifest=self._sign(replace(offer.manifest, rollout_first=0)))
            for base, offer in self._made.items()}

    def find(self, payload_sha256: str) -> Offer | None:
        """Return an offer that was made."""
        return next((offer for offer in list(self._made.values())
                     if offer.manifest.payload_sha256 == payload_sha256), None)

    def get(self, publication: Publication, base: Publication | None = None) -> Offer:
        """Return the offer of the present publication, in full or as a delta, made if need be.

        Raises:
            OfferError: It cannot be made or stored; the message says why.
        """
        name = base.version if base else ''
        if name not in self._made:
            file = self._folder / f'{publication.version[:12]}-{name[:12] or "full"}'
            try:
                manifest = pack(
                    publication.folder, file, base=base.folder if base else None,
                    part_bytes=self._part_bytes)
            except PolicyError as error:
                raise OfferError(
                    f'policy {publication.version[:12]} cannot be offered: {error}') from error
            manifest = replace(
                manifest, stamp_ns=self._stamp_ns, update=publication.update,
                snapshot=publication.snapshot, metrics=dict(publication.metrics),
                rollout_first=self._first)
            if self._stored(manifest.payload_bytes):
                manifest = self._store(file, manifest)
            self._made[name] = Offer(self._sign(manifest), file)
        return self._made[name]

    def _stored(self, size: int) -> bool:
        """Return whether a payload goes to the store."""
        return bool(self.config.store_url) and size > self.config.url_above

    def _part_bytes(self, size: int) -> int:
        # Robots fetch ranges, not messages: with few of them the manifest stays small.
        return PART_LIMIT if self._stored(size) else self.config.part_bytes

    def _sign(self, manifest: Manifest) -> Manifest:
        return manifest.signed(self._key) if self._key else manifest

    def _store(self, file: Path, manifest: Manifest) -> Manifest:
        """Put a payload where robots fetch it; returns its manifest with the URL."""
        name, place = manifest.payload_sha256, self.config.store_url
        try:
            obstore.put(from_url(place), name, file)
        except (BaseError, OSError, ValueError) as error:
            raise OfferError(
                f'the payload cannot be stored at {place}: '
                f'{str(error).partition(chr(10))[0]}; mend the store, or leave store_url empty'
            ) from error
        return replace(manifest, url=f'{place.rstrip("/")}/{name}')
