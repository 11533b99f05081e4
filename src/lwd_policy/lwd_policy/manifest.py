# SPDX-License-Identifier: Apache-2.0
"""What a learner says about a policy that it publishes; the fields of lwd_msgs/PolicyManifest.

The signature is over `Manifest.canonical()`, and so over the hash of every part: what arrives by
whatever way is what was signed, or is refused.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from lwd_policy.card import PolicyCard
from lwd_policy.errors import ManifestError, SignatureError
from lwd_policy.signature import SigningKey, TrustedKeys

PART_LIMIT = 1_000_000
"""Bytes of a part at most."""
_PREFIX = b'lwd policy manifest 1\n'
_HASH = re.compile(r'[0-9a-f]{64}')

Encoding = Literal['full', 'delta']


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One way to get one version of a policy."""

    version: str
    """SHA-256 of the weights file, hex."""
    parent: str = ''
    """Version that it was trained from; empty for the first."""
    base: str = ''
    """Version that a delta applies to; empty if full."""
    encoding: Encoding = 'full'
    layout: str = ''
    """Of what the policy sees and does; see `layout_of`."""
    stamp_ns: int = 0
    """Of the publication, learner's clock. Each publication's is later than the one before."""
    full_bytes: int = 0
    """Size of the weights file."""
    payload_bytes: int = 0
    """Size of what is sent; see lwd_policy.payload."""
    payload_sha256: str = ''
    """Names the payload: part messages carry it."""
    part_bytes: int = PART_LIMIT
    """Size of every part but the last."""
    part_sha256: tuple[str, ...] = ()
    """Of each part, hex."""
    url: str = ''
    """Where the payload lies instead of being sent in parts."""
    snapshot: str = ''
    """Replay snapshot that it was trained on."""
    update: int = 0
    """Gradient updates done."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Finite figures by name."""
    rollout_first: int = 0
    """Staged roll-out: only the first so many robots take it; 0 for all."""
    signer: str = ''
    """Name of the key."""
    signature: bytes = b''
    """Ed25519 over `canonical()`."""

    def canonical(self) -> bytes:
        """Return all fields but the signature as bytes that do not depend on how they came.

        Raises:
            ManifestError: A metric is not finite.
        """
        content = asdict(self)
        del content['signature']
        try:
            text = json.dumps(content, sort_keys=True, separators=(',', ':'), allow_nan=False)
        except ValueError as error:
            raise ManifestError(
                f'the manifest of {self.version[:12]} has a metric that is not finite; leave it '
                'out') from error
        return _PREFIX + text.encode()

    def signed(self, key: SigningKey) -> Manifest:
        """Return it with the signature of a key."""
        unsigned = replace(self, signer=key.name, signature=b'')
        return replace(unsigned, signature=key.sign(unsigned.canonical()))

    def check(self, keys: TrustedKeys | None, *, limit: int) -> None:
        """Refuse what is not signed, or cannot be: before any byte of it is fetched.

        Args:
            keys: Trusted ones; None to accept whatever is sound in itself.
            limit: Bytes of payload and weights at most.

        Raises:
            SignatureError: The signature is missing, of another key, or does not fit.
            ManifestError: A field has a value that it cannot have, or is over the limit.
        """
        if keys is not None:
            try:
                keys.check(self.signer, self.signature, self.canonical())
            except SignatureError as error:
                raise SignatureError(f'policy {self.version[:12]} is refused: {error}') from None
        for name in ('version', 'payload_sha256'):
            self._check(name, bool(_HASH.fullmatch(getattr(self, name))), 'a SHA-256 in hex')
        for name in ('parent', 'base'):
            self._check(name, not getattr(self, name) or bool(
                _HASH.fullmatch(getattr(self, name))), 'a SHA-256 in hex, or empty')
        self._check('base', bool(self.base) == (self.encoding == 'delta'),
                    'given for a delta, and only then')
        for name in ('full_bytes', 'payload_bytes'):
            self._check(name, 0 < getattr(self, name) <= limit, f'from 1 to {limit} (max_bytes)')
        self._check('part_bytes', 0 < self.part_bytes <= PART_LIMIT, f'from 1 to {PART_LIMIT}')
        count = -(-self.payload_bytes // self.part_bytes)
        if len(self.part_sha256) != count:
            raise ManifestError(
                f'policy {self.version[:12]}: {len(self.part_sha256)} part hashes for '
                f'{self.payload_bytes} bytes in parts of {self.part_bytes}; it must be {count}')
        self._check('metrics', all(map(math.isfinite, self.metrics.values())), 'finite')

    def _check(self, name: str, holds: bool, meant: str) -> None:
        if not holds:
            raise ManifestError(f'policy {self.version[:12]}: {name} is {getattr(self, name)!r}; '
                                f'it must be {meant}')

    def size_of(self, index: int) -> int:
        """Return the bytes of a part."""
        return min(self.part_bytes, self.payload_bytes - index * self.part_bytes)


def layout_of(card: PolicyCard) -> str:
    """Return the name of what a policy sees and does: it may follow only one of the same name."""
    sees = card.layout.scene if card.observation == 'scene' else card.observation
    return f'{sees}/{len(card.layout.joints)}x{card.layout.horizon}'
