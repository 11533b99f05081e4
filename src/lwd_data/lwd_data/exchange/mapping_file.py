# SPDX-License-Identifier: Apache-2.0
"""Reads a mapping from YAML: unknown keys are refused with the nearest known one."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import yaml

from g1_description.cameras import CAMERA_NAMES
from g1_description.errors import alternatives
from lwd_data.errors import ExchangeError
from lwd_data.exchange.mapping import (
    COMMAND_PARTS,
    GRIPPERS,
    PARTS,
    DataMapping,
    Driver,
    Extra,
    Format,
    Label,
    Part,
    Unit,
)

SHIPPED = Path(__file__).with_name('mappings')
_CHOICES = {
    'Format': get_args(Format), 'Unit': get_args(Unit), 'Label': get_args(Label),
    'Driver': get_args(Driver), "Literal['recorded', 'next_state']": ('recorded', 'next_state'),
    "Literal['ns', 's']": ('ns', 's')}


def shipped() -> dict[str, Path]:
    """Return the mappings that come with LWD, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob('*.yaml'))}


def find(name: str) -> DataMapping:
    """Return a mapping: of a YAML file, or one that comes with LWD.

    Raises:
        ExchangeError: There is none, or it does not hold together.
    """
    path = Path(name)
    if path.suffix not in ('.yaml', '.yml'):
        known = shipped()
        if name not in known:
            raise ExchangeError(f'unknown mapping {name!r}{alternatives(name, known)}, or a path '
                                'to a .yaml')
        path = known[name]
    return load(path)


def load(path: Path) -> DataMapping:
    """Read a mapping.

    Raises:
        ExchangeError: The file is missing, no YAML, has an unknown key or an impossible value.
    """
    try:
        data = path.read_bytes()
        content = yaml.safe_load(data)
    except OSError as error:
        raise ExchangeError(f'there is no mapping {path}: {error.strerror}') from error
    except yaml.YAMLError as error:
        raise ExchangeError(f'{path} is no YAML: {error}') from error
    values = _table(content, str(path))
    for key, names in (('state', tuple(PARTS)), ('command', COMMAND_PARTS)):
        parts = _table(values.get(key, {}), f'{path}: {key}')
        recorded = key == 'state' or values.get('command_from', 'recorded') == 'recorded'
        missing = [name for name in names if name not in parts] if recorded else []
        if missing:
            raise ExchangeError(
                f'{path}: {key} lacks {", ".join(missing)}; where the data set has none, give a '
                'constant')
        values[key] = {
            name: _part(name, _table(part, f'{path}: {key}.{name}'), names,
                        f'{path}: {key}.{name}')
            for name, part in parts.items()}
    cameras = _table(values.setdefault('cameras', {}), f'{path}: cameras')
    for name in cameras:
        if name not in CAMERA_NAMES:
            raise ExchangeError(
                f'{path}: unknown camera {name!r}{alternatives(name, CAMERA_NAMES)}')
    extra = _table(values.get('extra', {}), f'{path}: extra')
    values['extra'] = _filled(Extra, extra, f'{path}: extra')
    return _filled(DataMapping, {
        **values, 'name': path.stem, 'digest': hashlib.sha256(data).hexdigest()}, str(path))


def _table(content: Any, where: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ExchangeError(f'{where} is {content!r}; it must be keys with values')
    return dict(content)


def _part(name: str, content: dict[str, Any], names: tuple[str, ...], where: str) -> Part:
    if name not in names:
        raise ExchangeError(f'{where}: unknown part {name!r}{alternatives(name, names)}')
    for key in ('columns', 'constant'):
        if not isinstance(content.get(key, []), list):
            raise ExchangeError(f'{where}.{key} is {content[key]!r}; it must be a list')
        content[key] = tuple(content.get(key, ()))
    if name in GRIPPERS:
        content.setdefault('unit', 'closure')
    part = _filled(Part, content, where)
    if bool(part.field) == bool(part.constant):
        raise ExchangeError(f'{where} needs either a field or a constant')
    count = len(part.constant or part.columns)
    if count != len(PARTS[name]):
        raise ExchangeError(
            f'{where} has {count} {"numbers" if part.constant else "columns"}; {name} has '
            f'{len(PARTS[name])}')
    if (part.unit == 'closure') != (name in GRIPPERS):
        raise ExchangeError(f'{where}.unit is {part.unit!r}; closure is for grippers, and only '
                            'for them')
    if part.open == part.closed:
        raise ExchangeError(f'{where}: open and closed are both {part.open:g}')
    return part


def _filled(kind: Any, content: dict[str, Any], where: str) -> Any:
    known = {one.name: one for one in fields(kind)}
    for key in content:
        if key not in known:
            raise ExchangeError(f'{where}: unknown key {key!r}{alternatives(key, known)}')
    if kind is DataMapping and 'format' not in content:
        raise ExchangeError(f'{where} has no format; it is one of {", ".join(get_args(Format))}')
    for key, value in content.items():
        content[key] = _checked(value, str(known[key].type), f'{where}: {key}')
    return kind(**content)


def _checked(value: Any, hint: str, where: str) -> Any:
    choices = _CHOICES.get(hint)
    if choices is not None:
        if value not in choices:
            raise ExchangeError(f'{where} is {value!r}{alternatives(str(value), choices)}')
    elif hint == 'float':
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ExchangeError(f'{where} is {value!r}; it must be a number')
        return float(value)
    elif hint == 'int':
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ExchangeError(f'{where} is {value!r}; it must be a whole number from 0')
    elif hint == 'bool':
        if not isinstance(value, bool):
            raise ExchangeError(f'{where} is {value!r}; it must be true or false')
    elif hint == 'str' and not isinstance(value, str):
        raise ExchangeError(f'{where} is {value!r}; it must be a text')
    return value
