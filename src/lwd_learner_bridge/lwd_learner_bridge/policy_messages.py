# SPDX-License-Identifier: Apache-2.0
"""From manifests and parts to ROS messages."""

from __future__ import annotations

import array

from lwd_msgs.msg import PolicyManifest, PolicyPart
from lwd_policy.manifest import Manifest
from lwd_ros.convert import to_time

_ENCODINGS = {'full': PolicyManifest.ENCODING_FULL, 'delta': PolicyManifest.ENCODING_DELTA}


def manifest_message(manifest: Manifest) -> PolicyManifest:
    """Return the message of a manifest."""
    message = PolicyManifest(
        version=manifest.version, parent_version=manifest.parent, base_version=manifest.base,
        encoding=_ENCODINGS[manifest.encoding], layout=manifest.layout,
        full_bytes=manifest.full_bytes, payload_bytes=manifest.payload_bytes,
        payload_sha256=manifest.payload_sha256, part_count=len(manifest.part_sha256),
        part_bytes=manifest.part_bytes, part_sha256=list(manifest.part_sha256),
        url=manifest.url, snapshot=manifest.snapshot, update=manifest.update,
        metric_names=list(manifest.metrics),
        metric_values=array.array('d', manifest.metrics.values()),
        rollout_first=manifest.rollout_first, signer=manifest.signer,
        signature=array.array('B', manifest.signature))
    message.header.stamp = to_time(manifest.stamp_ns)
    return message


def part_message(manifest: Manifest, index: int, data: bytes) -> PolicyPart:
    """Return the message of a part."""
    # A plain list would be converted byte by byte.
    return PolicyPart(
        version=manifest.version, payload_sha256=manifest.payload_sha256, index=index,
        data=array.array('B', data))
