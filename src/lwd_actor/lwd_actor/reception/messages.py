# SPDX-License-Identifier: Apache-2.0
"""From ROS messages to manifests."""

from __future__ import annotations

from lwd_msgs.msg import PolicyManifest
from lwd_policy.errors import ManifestError
from lwd_policy.manifest import Encoding, Manifest
from lwd_ros.convert import to_ns

MANIFEST = '/lwd/policy/manifest'

_ENCODINGS: dict[int, Encoding] = {
    PolicyManifest.ENCODING_FULL: 'full', PolicyManifest.ENCODING_DELTA: 'delta'}


def manifest_of(message: PolicyManifest) -> Manifest:
    """Return what a message says, not yet checked.

    Raises:
        ManifestError: It contradicts itself, or is of an encoding that is not known here.
    """
    if message.encoding not in _ENCODINGS:
        raise ManifestError(
            f'policy {message.version[:12]} is of encoding {message.encoding}, which is not known '
            'here; update this robot')
    if len(message.metric_names) != len(message.metric_values) or (
            message.part_count != len(message.part_sha256)):
        raise ManifestError(
            f'policy {message.version[:12]}: {len(message.metric_names)} names for '
            f'{len(message.metric_values)} metrics, {len(message.part_sha256)} hashes for '
            f'{message.part_count} parts; each must have its own')
    return Manifest(
        version=message.version, parent=message.parent_version, base=message.base_version,
        encoding=_ENCODINGS[message.encoding], layout=message.layout,
        stamp_ns=to_ns(message.header.stamp), full_bytes=message.full_bytes,
        payload_bytes=message.payload_bytes, payload_sha256=message.payload_sha256,
        part_bytes=message.part_bytes, part_sha256=tuple(message.part_sha256),
        url=message.url, snapshot=message.snapshot, update=message.update,
        metrics=dict(zip(message.metric_names, message.metric_values)),
        rollout_first=message.rollout_first, signer=message.signer,
        signature=bytes(message.signature))
