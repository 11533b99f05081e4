# SPDX-License-Identifier: Apache-2.0
"""What is sent of a policy: its weights or a delta to them, its card, its canary, in one file.

    weights or delta | card.json | canary.safetensors | trailer

The weights come first, so that a full payload becomes the weights file by cutting it off: no
second copy of a large file. The trailer says how long card and canary are.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from lwd_policy import delta, weights
from lwd_policy.card import PolicyCard, loads
from lwd_policy.delta_decode import decode_file
from lwd_policy.errors import PayloadError, WeightsError
from lwd_policy.manifest import PART_LIMIT, Encoding, Manifest, layout_of
from lwd_policy.weights_file import from_bytes, read, view
from lwd_policy.weights_scan import scan

CANARY_FILE = 'canary.safetensors'
MANIFEST_FILE = 'manifest.json'
_TRAILER = struct.Struct('<8sQQ')
_MAGIC = b'LWDPAYL1'
_COPY = 1 << 20


def pack(
    policy: Path, place: Path, *, base: Path | None = None,
    part_bytes: int | Callable[[int], int] = PART_LIMIT, url: str = '',
) -> Manifest:
    """Write the payload of a policy; returns what can be said about it, not yet signed.

    Args:
        policy: Its folder.
        place: File to write.
        base: Folder of the version that a delta is made against; None for the full weights. Where
            a delta is not possible or not smaller, the payload is full.
        part_bytes: Size of its parts, or what says so for a size of the whole.
        url: Where it will be fetched from, if not in parts.

    Raises:
        PolicyError: The policy or its base cannot be read.
        PayloadError: The disk refuses.
    """
    file = policy / weights.WEIGHTS_FILE
    try:
        card_text = (policy / weights.CARD_FILE).read_bytes()
        canary = policy / CANARY_FILE
        extra = [card_text, canary.read_bytes() if canary.exists() else b'']
        card = loads(card_text.decode(errors='replace'), where=str(policy / weights.CARD_FILE))
        full_bytes = file.stat().st_size
        difference, base_version = b'', ''
        if base is not None:
            difference, base_version = _difference(policy, base, card, full_bytes)
        encoding: Encoding = 'delta' if difference else 'full'
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open('wb') as out:
            if difference:
                out.write(difference)
            else:
                with file.open('rb') as source:
                    shutil.copyfileobj(source, out, _COPY)
            out.writelines(extra)
            out.write(_TRAILER.pack(_MAGIC, *map(len, extra)))
        size = place.stat().st_size
        if not isinstance(part_bytes, int):
            part_bytes = part_bytes(size)
        whole, parts = _hashes(place, part_bytes)
    except OSError as error:
        raise PayloadError(f'the payload of {policy} cannot be written to {place}: {error}'
                           ) from error
    return Manifest(
        version=card.version, parent=card.parent, encoding=encoding, base=base_version,
        layout=layout_of(card), full_bytes=full_bytes, payload_bytes=size,
        payload_sha256=whole, part_bytes=part_bytes, part_sha256=parts, url=url,
        snapshot=card.snapshot, metrics=dict(card.metrics))


def _difference(
    policy: Path, base: Path, card: PolicyCard, full_bytes: int,
) -> tuple[bytes, str]:
    """Return (a delta, the version that it applies to); both empty if it saves nothing."""
    # Encoding takes the hashes of both: what is damaged has another version.
    before, after = (
        from_bytes(view(path), where=str(path))[0]
        for path in (base / weights.WEIGHTS_FILE, policy / weights.WEIGHTS_FILE))
    data = delta.encode(before, after, architecture=card.architecture)
    header, _ = delta.open_delta(data, checked=True)
    if header.version != card.version:
        raise WeightsError(
            f'{policy} is version {header.version[:12]}, its card says {card.version[:12]}; it '
            'was changed or is damaged: publish the policy again')
    if header.kind != 'delta' or len(data) >= full_bytes:
        return b'', ''
    return data, header.base


def _hashes(path: Path, part_bytes: int) -> tuple[str, tuple[str, ...]]:
    """Return the SHA-256 in hex of a payload, and of each of its parts."""
    whole, parts = hashlib.sha256(), []
    with path.open('rb') as file:
        while part := file.read(part_bytes):
            whole.update(part)
            parts.append(hashlib.sha256(part).hexdigest())
    return whole.hexdigest(), tuple(parts)


@dataclass(frozen=True)
class Unpacked:
    """A policy's folder that this process has just made, and found to be what was signed."""

    folder: Path
    version: str
    """That its weights are; all of them are finite."""


def unpack(
    payload: Path, manifest: Manifest, folder: Path, *, base: Path | None = None,
) -> Unpacked:
    """Make a policy's folder of a payload whose parts are as signed; consumes the file.

    Args:
        payload: On the same disk as `folder`.
        manifest: That it belongs to; is kept in the folder.
        folder: Empty.
        base: Folder of the version that a delta applies to.

    Raises:
        PayloadError: It is not laid out as a payload, or the disk refuses.
        DeltaError: It is a delta that does not apply to the base.
        WeightsError: Its weights are not of the manifest's version, or not finite.
    """
    try:
        body, card, canary = _split(payload)
        file = folder / weights.WEIGHTS_FILE
        if manifest.encoding == 'delta':
            version = _apply(payload, body, base, file)
            payload.unlink()
        else:
            os.truncate(payload, body)
            payload.rename(file)
            version = scan(file)
        if version != manifest.version:
            raise WeightsError(
                f'the weights are version {version[:12]}, the manifest says '
                f'{manifest.version[:12]}: publish the policy again')
        _write(folder / weights.CARD_FILE, card)
        if canary:
            _write(folder / CANARY_FILE, canary)
        content = {**asdict(manifest), 'signature': manifest.signature.hex()}
        _write(folder / MANIFEST_FILE, json.dumps(content).encode())
        for path in (file, folder):
            _sync(path)
    except OSError as error:
        raise PayloadError(
            f'policy {manifest.version[:12]} cannot be written to {folder.parent}: '
            f'{error.strerror or error}; make room on the disk') from error
    return Unpacked(folder, version)


def _split(payload: Path) -> tuple[int, bytes, bytes]:
    """Return (size of weights or delta, card, canary)."""
    size = payload.stat().st_size
    with payload.open('rb') as file:
        file.seek(max(0, size - _TRAILER.size))
        end = file.read()
        magic, card, canary = _TRAILER.unpack(end) if len(end) == _TRAILER.size else (b'', 0, 0)
        body = size - _TRAILER.size - card - canary
        if magic != _MAGIC or body <= 0:
            raise PayloadError(
                f'the payload of {size} bytes ends with {magic!r} instead of {_MAGIC!r}; it was '
                'made by another version of LWD: update this robot')
        file.seek(body)
        return body, file.read(card), file.read(canary)


def _apply(payload: Path, body: int, base: Path | None, place: Path) -> str:
    """Write the weights that a delta encodes; returns their version."""
    with place.open('wb') as out:
        return decode_file(
            None if base is None else base / weights.WEIGHTS_FILE, read(payload)[:body], out)


def _write(path: Path, content: bytes) -> None:
    with path.open('wb') as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
