# SPDX-License-Identifier: Apache-2.0
"""Stamps between nanoseconds and messages."""

from __future__ import annotations

from builtin_interfaces.msg import Time

_SECOND = 1_000_000_000


def to_time(nanoseconds: int) -> Time:
    """Return the message for ns since the epoch."""
    return Time(sec=nanoseconds // _SECOND, nanosec=nanoseconds % _SECOND)


def to_ns(time: Time) -> int:
    """Return ns since the epoch of a message."""
    return int(time.sec) * _SECOND + int(time.nanosec)
