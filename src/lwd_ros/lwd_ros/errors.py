# SPDX-License-Identifier: Apache-2.0
"""Errors of lwd_ros."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def alternatives(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the nearest known one, then all."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f'; did you mean {close[0]!r}?' if close else '.'
    return f'{hint} Known: {", ".join(known)}'


class RosError(Exception):
    """Base of the errors of this package."""


class ParameterError(RosError, ValueError):
    """A parameter that is unknown or cannot be right."""
