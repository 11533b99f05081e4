# SPDX-License-Identifier: Apache-2.0
"""Pieces of HTML; every text is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_SHORT = 12


class Safe(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: object) -> str:
    """Return a value as HTML: escaped, unless it is HTML already."""
    return value if isinstance(value, Safe) else escape(str(value))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; numbers stand at the right."""
    kept = [list(row) for row in rows]
    numeric = [bool(kept) and all(isinstance(row[column], int | float) for row in kept)
               for column in range(len(head))]
    kinds = [' class="n"' if each else '' for each in numeric]
    return ('<div class="scroll"><table><tr>'
            + ''.join(f'<th{kind}>{text(name)}</th>' for kind, name in zip(kinds, head))
            + '</tr>' + ''.join(
                '<tr>' + ''.join(f'<td{kind}>{_cell(value)}</td>'
                                 for kind, value in zip(kinds, row)) + '</tr>'
                for row in kept) + '</table></div>')


def hashed(value: str) -> Safe:
    """Return the first digits of a hash; all of them when pointed at."""
    if not value:
        return Safe('-')
    return Safe(f'<code title="{escape(value)}">{escape(value[:_SHORT])}</code>')


def note(said: str) -> str:
    """Return a small remark."""
    return f'<p class="note">{text(said)}</p>'


def duration(seconds: float) -> str:
    """Return a time for people: 8.2 s, 4.5 min, 2.3 h."""
    if seconds < 60:
        return f'{seconds:.3g} s'
    return f'{seconds / 60:.1f} min' if seconds < 5400 else f'{seconds / 3600:.1f} h'


def _cell(value: object) -> str:
    return f'{value:,.6g}' if isinstance(value, float) else (
        f'{value:,}' if isinstance(value, int) and not isinstance(value, bool) else text(value))
