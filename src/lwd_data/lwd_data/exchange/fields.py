# SPDX-License-Identifier: Apache-2.0
"""From the fields of a data set to joints in our order and units, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from g1_description.errors import alternatives
from g1_description.joints import COMMAND_JOINTS, STATE_JOINTS, Joint
from lwd_data.errors import ExchangeError
from lwd_data.exchange.mapping import COMMAND_PARTS, GRIPPERS, PARTS, DataMapping, Part

Array = NDArray[np.float64]

_FACTORS = {'rad': 1.0, 'deg': np.pi / 180.0, 'm': 1.0, 'cm': 0.01, 'mm': 0.001}
# Of a gripper that is raw, and its command: what moves less tells nothing about directions.
_MOVES = 0.1
_AGAINST = -0.5


class Fields(Protocol):
    """The fields of one episode."""

    where: str
    """The file, for messages."""

    def rows(self, name: str) -> NDArray[Any]:
        """Return a field, (rows, ...); raises ExchangeError if there is none."""

    def columns(self, name: str, /) -> Sequence[str]:
        """Return the names of a field's columns; empty if it names none."""


def state(fields: Fields, mapping: DataMapping, frames: int) -> Array:
    """Return the measured joints, (T, 20), in the order of STATE_JOINTS.

    Args:
        fields: Of the episode.
        mapping: Says where they are.
        frames: T.

    Raises:
        ExchangeError: A field is missing, of another shape, not finite, or in another unit.
    """
    found = np.empty((frames, len(STATE_JOINTS)))
    for name, part in mapping.state.items():
        found[:, PARTS[name]] = _values(fields, name, part, frames, None)
    _check(fields, 'state', mapping.state, found, STATE_JOINTS, mapping.tolerance)
    return found


def command(fields: Fields, mapping: DataMapping, measured: Array) -> Array:
    """Return the commands, (T, 16), in the order of COMMAND_JOINTS.

    Args:
        fields: Of the episode.
        mapping: Says where they are.
        measured: (T, 20) the states, for what holds before the first command is sent.

    Raises:
        ExchangeError: As state; also a gripper whose state runs against its command.
    """
    count = len(COMMAND_JOINTS)
    if mapping.command_from == 'next_state':
        return np.concatenate([measured[1:, :count], measured[-1:, :count]])
    found = np.empty((len(measured), count))
    for name, part in mapping.command.items():
        found[:, PARTS[name]] = _values(
            fields, name, part, len(measured), measured[0, PARTS[name]])
    _check(fields, 'command', mapping.command, found, COMMAND_JOINTS, mapping.tolerance)
    for name in GRIPPERS:
        _check_direction(fields, name, mapping, measured[:, PARTS[name][0]],
                         found[:, PARTS[name][0]])
    return found


def required(mapping: DataMapping) -> tuple[str, ...]:
    """Return the fields of joints that a mapping takes, in order."""
    parts = [*mapping.state.values()]
    if mapping.command_from == 'recorded':
        parts += [mapping.command[name] for name in COMMAND_PARTS]
    return tuple(dict.fromkeys(part.field for part in parts if part.field))


def _values(fields: Fields, name: str, part: Part, frames: int, before: Array | None) -> Array:
    """Return a part's numbers in our units, (T, n).

    Args:
        fields: Of the episode.
        name: Of the part.
        part: Where they are.
        frames: T.
        before: (n,) what holds before anything was sent; None: every frame must have a row.
    """
    if part.constant:
        return np.broadcast_to(part.constant, (frames, len(part.constant)))
    rows = np.asarray(fields.rows(part.field))
    if rows.dtype.kind not in 'fiu':
        raise ExchangeError(
            f'{fields.where}: {part.field} is of type {rows.dtype}, not numbers; map {name} to '
            'another field')
    if not len(rows):
        raise ExchangeError(
            f'{fields.where}: {part.field} is empty; map {name} to another field, give a '
            'constant, or take commands from states (command_from: next_state)')
    table = rows.reshape(len(rows), -1)
    if part.width and table.shape[1] != part.width:
        raise ExchangeError(
            f'{fields.where}: {part.field} has {table.shape[1]} columns, not {part.width}: a '
            f'robot with other joints or hands? If not, change width and columns of {name} in the '
            'mapping')
    wanted = [_column(fields, name, part, one, table.shape[1]) for one in part.columns]
    values = _in_our_units(part, table[:, wanted].astype(np.float64))
    if before is None or not part.index:
        if len(values) != frames:
            raise ExchangeError(
                f'{fields.where}: {part.field} has {len(values)} rows for {frames} frames; leave '
                'the episode out, or name the field that says which rows were sent (index)')
        return values
    row = _row_of_frame(fields, part, len(values), frames)
    return np.where(row[:, None] < 0, before, values[row])


def _row_of_frame(fields: Fields, part: Part, rows: int, frames: int) -> NDArray[np.int64]:
    """Return the row that holds at each frame, (T,): the last sent one; -1 before the first."""
    sent = np.asarray(fields.rows(part.index)).astype(np.int64).reshape(-1)
    if len(sent) and (sent[0] < 0 or sent[-1] >= frames or np.any(np.diff(sent) <= 0)):
        raise ExchangeError(
            f'{fields.where}: {part.index} goes from {sent.min()} to {sent.max()}, for {frames} '
            'frames; it must be growing frame numbers. Leave the episode out, or the index from '
            'the mapping')
    last = np.searchsorted(sent, np.arange(frames), side='right') - 1
    if rows == frames:
        return np.where(last < 0, -1, sent[last]) if len(sent) else np.full(frames, -1)
    if rows == len(sent):
        return last
    raise ExchangeError(
        f'{fields.where}: {part.field} has {rows} rows, for {frames} frames of which '
        f'{part.index} names {len(sent)}; which is which cannot be said. Leave the episode out')


def _column(fields: Fields, name: str, part: Part, column: int | str, width: int) -> int:
    if isinstance(column, str):
        names = list(fields.columns(part.field))
        if column not in names:
            raise ExchangeError(
                f'{fields.where}: {part.field} has no column {column!r}'
                f'{alternatives(column, names)}. Change columns of {name} in the mapping')
        return names.index(column)
    if not 0 <= column < width:
        raise ExchangeError(
            f'{fields.where}: {part.field} has no column {column}, it has {width}; change columns '
            f'of {name} in the mapping')
    return column


def _in_our_units(part: Part, values: Array) -> Array:
    if part.unit != 'closure':
        return values * _FACTORS[part.unit] if _FACTORS[part.unit] != 1.0 else values
    if (part.open, part.closed) == (0.0, 1.0):
        return values
    return (values - part.open) / (part.closed - part.open)


def _check(
    fields: Fields, what: str, parts: Mapping[str, Part], values: Array,
    joints: Sequence[Joint], tolerance: float,
) -> None:
    """Refuse what is not finite or far outside the joints' limits; a little outside is clipped.

    Only grippers of a raw scale are clipped: their ends are a matter of calibration.
    """
    for name, part in parts.items():
        for place in PARTS[name]:
            column, joint = values[:, place], joints[place]
            bad = np.flatnonzero(~np.isfinite(column))
            if len(bad):
                raise ExchangeError(
                    f'{fields.where}: {part.field or "constant"} is {column[bad[0]]} at frame '
                    f'{bad[0]} ({what} of {joint.name}); leave the episode out')
            out = np.flatnonzero((column < joint.lower - tolerance)
                                 | (column > joint.upper + tolerance))
            if len(out):
                remedy = (
                    'change open and closed' if name in GRIPPERS else 'change unit or columns')
                raise ExchangeError(
                    f'{fields.where}: {part.field or "constant"} gives {column[out[0]]:.4g} at '
                    f'frame {out[0]} for {what} of {joint.name}, which goes from {joint.lower:g} '
                    f'to {joint.upper:g}; {remedy} of {name} in the mapping, raise tolerance, or '
                    'leave the episode out')
            if name in GRIPPERS and (part.open, part.closed) != (0.0, 1.0):
                np.clip(column, 0.0, 1.0, out=column)


def _check_direction(
    fields: Fields, name: str, mapping: DataMapping, measured: Array, commanded: Array,
) -> None:
    """Refuse a gripper that opens when told to close: one of the two is mapped upside down."""
    if min(np.std(measured), np.std(commanded)) < _MOVES:
        return
    together = float(np.corrcoef(measured, commanded)[0, 1])
    if together < _AGAINST:
        part = mapping.state[name]
        raise ExchangeError(
            f'{fields.where}: {part.field} runs against {mapping.command[name].field} '
            f'(correlation {together:.2f}): {name} of state or command is upside down. Exchange '
            f'open ({part.open:g}) and closed ({part.closed:g}) of one of them in the mapping')
