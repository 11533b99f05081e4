# SPDX-License-Identifier: Apache-2.0
"""What a robot asks the publisher for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """Parts of a payload, or the full weights of a version."""

    version: str
    payload_sha256: str
    """Empty for the full weights."""
    indices: tuple[int, ...]
    """Empty for all."""
