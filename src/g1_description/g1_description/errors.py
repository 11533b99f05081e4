# SPDX-License-Identifier: Apache-2.0
"""Errors of g1_description."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def alternatives(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the nearest known one, then all."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f'; did you mean {close[0]!r}?' if close else '.'
    return f'{hint} Known: {", ".join(known)}'


class DescriptionError(Exception):
    """Base of the errors of this package."""


class UnknownNameError(DescriptionError, KeyError):
    """A name that the robot does not have; the message lists the alternatives."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f'unknown {kind} {name!r}{alternatives(name, known)}')

    def __str__(self) -> str:
        return str(self.args[0])
