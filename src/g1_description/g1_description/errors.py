# SPDX-License-Identifier: Apache-2.0
"""Errors of g1_description."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DescriptionError(Exception):
    """Base of the errors of this package."""


class UnknownNameError(DescriptionError, KeyError):
    """A name that the robot does not have; the message lists the alternatives."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = list(known)
        close = difflib.get_close_matches(name, known, n=1)
        hint = f'; did you mean {close[0]!r}?' if close else ''
        super().__init__(f'unknown {kind} {name!r}{hint} Known: {", ".join(known)}')

    def __str__(self) -> str:
        return str(self.args[0])
