# SPDX-License-Identifier: Apache-2.0
"""Charts as SVG text: inside a page they need no script, no file and no library."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeAlias

BLUE, ORANGE, GREEN, MAGENTA, RED, GREY, TEAL, BROWN = (
    '#1769aa', '#e07b00', '#2e7d32', '#c2185b', '#c62828', '#8a939b', '#00838f', '#795548')
COLOURS = (BLUE, ORANGE, GREEN, MAGENTA, TEAL, BROWN, RED, GREY)
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 22, 34
_Place: TypeAlias = Callable[[tuple[float, float]], str]
_LABEL_CHARACTERS = 6.1
"""Width of one, px, at the size of the labels."""


@dataclass(frozen=True)
class Line:
    """A line of a chart."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: str = BLUE
    band: Sequence[tuple[float, float]] = ()
    """(low, high) at each point; empty for none."""


@dataclass(frozen=True)
class Interval:
    """A value with an interval, both from 0 to 1."""

    label: str
    value: float
    low: float
    high: float
    colour: str = BLUE
    note: str = ''
    """Beside it, at the right."""


def lines(
    drawn: Sequence[Line], *, x: str, y: str = '', marks: Sequence[tuple[float, str]] = (),
    span: tuple[float, float] | None = None, begin: float | None = None, width: int = 640,
    height: int = 240,
) -> str:
    """Return a chart of lines.

    Args:
        drawn: The lines; values that are not finite are left out.
        x: What the horizontal axis is.
        y: What the vertical one is.
        marks: Upright lines: where, and what is said of it when pointed at.
        span: Of the vertical axis; None: that of the values.
        begin: Of the horizontal axis; None: that of the values.
        width: px.
        height: px.
    """
    points = [point for line in drawn for point in line.points if _finite(point)]
    if not points:
        return '<p class="none">nothing to draw yet</p>'
    first, last = min(p[0] for p in points), max(p[0] for p in points)
    first = first if begin is None else begin
    low, high = span or (min(p[1] for p in points), max(p[1] for p in points))
    if high <= low:
        low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
    if last <= first:
        first, last = first - 0.5, last + 0.5

    def at(point: tuple[float, float]) -> str:
        across = _LEFT + (point[0] - first) / (last - first) * (width - _LEFT - _RIGHT)
        up = height - _BOTTOM - (point[1] - low) / (high - low) * (height - _TOP - _BOTTOM)
        return f'{across:.1f},{up:.1f}'

    parts = [_axis(at, (first, last), (low, high), width, height, x, y)]
    for where, said in marks:
        if first <= where <= last:
            foot, top = at((where, low)).split(','), at((where, high)).split(',')
            parts.append(f'<line class="mark" x1="{foot[0]}" y1="{foot[1]}" x2="{top[0]}" '
                         f'y2="{top[1]}"><title>{escape(said)}</title></line>')
    for line in drawn:
        kept = [point for point in line.points if _finite(point)]
        if line.band:
            rim = [(p[0], b[1]) for p, b in zip(line.points, line.band)] + [
                (p[0], b[0]) for p, b in zip(line.points, line.band)][::-1]
            parts.append(f'<polygon fill="{line.colour}" fill-opacity="0.16" points="'
                         f'{" ".join(map(at, rim))}"/>')
        parts.append(f'<polyline fill="none" stroke="{line.colour}" stroke-width="1.8" '
                     f'stroke-linejoin="round" points="{" ".join(map(at, kept))}"/>')
        if len(kept) == 1:
            across, up = at(kept[0]).split(',')
            parts.append(f'<circle cx="{across}" cy="{up}" r="3" fill="{line.colour}"/>')
    return _svg(width, height, parts) + _key([(line.name, line.colour) for line in drawn])


def intervals(rows: Sequence[Interval], *, width: int = 640) -> str:
    """Return values from 0 to 1 with their intervals, one below the other."""
    left = 20 + _LABEL_CHARACTERS * max((len(row.label) for row in rows), default=0)
    right = 20 + _LABEL_CHARACTERS * max((len(row.note) for row in rows), default=0)
    height, room = 24 * len(rows) + 26, width - left - right
    parts = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        across = left + tick * room
        parts.append(f'<line class="grid" x1="{across:.1f}" x2="{across:.1f}" y1="4" '
                     f'y2="{height - 20}"/><text x="{across:.1f}" y="{height - 6}" '
                     f'text-anchor="middle">{tick:g}</text>')
    for number, row in enumerate(rows):
        down = 16 + 24 * number
        low, value, high = (left + part * room for part in (row.low, row.value, row.high))
        parts.append(
            f'<text x="{left - 10:.1f}" y="{down + 4}" text-anchor="end">{escape(row.label)}'
            f'</text><line x1="{low:.1f}" x2="{high:.1f}" y1="{down}" y2="{down}" '
            f'stroke="{row.colour}" stroke-width="5" stroke-opacity="0.3" '
            f'stroke-linecap="round"/><circle cx="{value:.1f}" cy="{down}" r="4.5" '
            f'fill="{row.colour}"/><text x="{width - right + 10:.1f}" y="{down + 4}">'
            f'{escape(row.note)}</text>')
    return _svg(width, height, parts)


def histogram(
    values: Sequence[float], *, x: str, colour: str = BLUE,
    marks: Sequence[tuple[float, str]] = (), width: int = 420, height: int = 190,
) -> str:
    """Return how often values occur, from 0 to the greatest; marks are labelled upright lines."""
    if not values:
        return '<p class="none">nothing was measured yet</p>'
    step = _nice(max(max(values), 1e-3) / 20)
    counts = [0] * (int(max(values) / step) + 1)
    for value in values:
        counts[int(value / step)] += 1
    span, top = step * len(counts), max(counts)

    def at(point: tuple[float, float]) -> str:
        across = _LEFT + point[0] / span * (width - _LEFT - _RIGHT)
        up = height - _BOTTOM - point[1] / top * (height - _TOP - _BOTTOM)
        return f'{across:.1f},{up:.1f}'

    parts = [_axis(at, (0.0, span), (0.0, float(top)), width, height, x, '', whole=True)]
    for number, count in enumerate(counts):
        if count:
            corners = [(number * step, 0), (number * step, count),
                       ((number + 1) * step, count), ((number + 1) * step, 0)]
            parts.append(f'<polygon fill="{colour}" fill-opacity="0.75" stroke="#fff" '
                         f'stroke-width="0.8" points="{" ".join(map(at, corners))}">'
                         f'<title>{count}</title></polygon>')
    for number, (where, said) in enumerate(marks):
        across, up = at((where, float(top))).split(',')
        # Labels of near marks stand below each other, and never beyond the edge.
        edge = float(across) > 0.75 * width
        parts.append(
            f'<line class="mark" x1="{across}" x2="{across}" y1="{height - _BOTTOM}" '
            f'y2="{up}"/><text class="said" x="{float(across) + (-4 if edge else 4):.1f}" '
            f'y="{float(up) + 9 + 13 * number:.1f}" text-anchor="{"end" if edge else "start"}">'
            f'{escape(said)}</text>')
    return _svg(width, height, parts)


def shares(rows: Sequence[tuple[str, Sequence[tuple[str, float]]]], *, width: int = 640) -> str:
    """Return amounts as parts of a whole, a bar a row: (what, [(name, amount)])."""
    left = 20 + _LABEL_CHARACTERS * max((len(title) for title, _ in rows), default=0)
    parts = []
    for number, (title, found) in enumerate(rows):
        down, whole = 6 + 46 * number, sum(amount for _, amount in found) or 1.0
        parts.append(f'<text x="{left - 10:.1f}" y="{down + 15}" text-anchor="end">'
                     f'{escape(title)}</text>')
        across, said, offset = left, '', 0.0
        for index, (name, amount) in enumerate(found):
            long = amount / whole * (width - left - _RIGHT)
            colour = COLOURS[index % len(COLOURS)]
            parts.append(f'<rect x="{across:.1f}" y="{down}" width="{max(long, 0.5):.1f}" '
                         f'height="20" fill="{colour}" fill-opacity="0.85"/>')
            across += long
            said = f'{name} {amount / whole:.0%}'
            parts.append(f'<rect x="{left + offset:.1f}" y="{down + 26}" width="8" height="8" '
                         f'fill="{colour}"/><text x="{left + offset + 12:.1f}" y="{down + 34}">'
                         f'{escape(said)}</text>')
            offset += 24 + _LABEL_CHARACTERS * len(said)
        # Names that find no room are in the bar's title.
        parts.append(f'<rect x="{left:.1f}" y="{down}" width="{width - left - _RIGHT:.1f}" '
                     'height="20" fill="transparent"><title>' + escape(', '.join(
                         f'{name}: {amount:g}' for name, amount in found)) + '</title></rect>')
    return _svg(width, 46 * len(rows) + 4, parts)


def _axis(
    at: _Place, across: tuple[float, float], up: tuple[float, float], width: int, height: int,
    x: str, y: str, *, whole: bool = False,
) -> str:
    parts = []
    for value in _ticks(*up, whole=whole):
        level = at((across[0], value)).split(',')[1]
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{width - _RIGHT}" y1="{level}" '
                     f'y2="{level}"/><text x="{_LEFT - 6}" y="{float(level) + 4:.1f}" '
                     f'text-anchor="end">{value:.4g}</text>')
    for value in _ticks(*across):
        place = at((value, up[0])).split(',')[0]
        parts.append(f'<text x="{place}" y="{height - _BOTTOM + 15}" text-anchor="middle">'
                     f'{value:.4g}</text>')
    parts.append(f'<text class="axis" x="{(width + _LEFT) / 2:.0f}" y="{height - 4}" '
                 f'text-anchor="middle">{escape(x)}</text>')
    if y:
        parts.append(f'<text class="axis" x="4" y="11">{escape(y)}</text>')
    return ''.join(parts)


def _ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    step = _nice((high - low) / 5)
    if whole:
        step = max(1.0, step)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _nice(step: float) -> float:
    """Return the next greater of 1, 2 and 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(times * power for times in (1.0, 2.0, 5.0, 10.0)
                if times * power >= step * (1 - 1e-9))


def _finite(point: tuple[float, float]) -> bool:
    return math.isfinite(point[0]) and math.isfinite(point[1])


def _key(named: Sequence[tuple[str, str]]) -> str:
    if len(named) < 2:
        return ''
    return '<p class="key">' + ''.join(
        f'<span><i style="background:{colour}"></i>{escape(name)}</span>'
        for name, colour in named) + '</p>'


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    return (f'<svg viewBox="0 0 {width} {height}" style="max-width:{width}px" role="img">'
            f'{"".join(parts)}</svg>')
