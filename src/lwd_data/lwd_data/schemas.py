# SPDX-License-Identifier: Apache-2.0
"""Message definitions for MCAP, encoding `ros2msg`: a type's text and that of all it contains."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from lwd_data.errors import SchemaError

_SEPARATOR = '=' * 80
_PRIMITIVES = frozenset((
    'bool', 'byte', 'char', 'float32', 'float64', 'int8', 'uint8', 'int16', 'uint16', 'int32',
    'uint32', 'int64', 'uint64', 'string', 'wstring'))


@functools.cache
def definition(type_name: str) -> str:
    """Return the definition of a type such as lwd_msgs/msg/Tick, with those that it contains.

    Raises:
        SchemaError: A definition is not installed.
    """
    own = _text(type_name)
    parts, seen, pending = [own], {type_name}, _contained(type_name, own)
    while pending:
        name = pending.pop(0)
        if name in seen:
            continue
        seen.add(name)
        text = _text(name)
        package, _, short = name.split('/')
        parts.append(f'{_SEPARATOR}\nMSG: {package}/{short}\n{text}')
        pending += _contained(name, text)
    return '\n'.join(parts)


def _contained(type_name: str, text: str) -> list[str]:
    """Return the full names of the message types of a definition's fields."""
    package = type_name.split('/')[0]
    found = []
    for line in text.splitlines():
        words = line.partition('#')[0].split()
        if len(words) < 2 or '=' in words[1]:
            continue
        kind = words[0].partition('[')[0].partition('<')[0]
        if kind in _PRIMITIVES:
            continue
        # A constant stands as TYPE NAME=VALUE with a primitive type, so this is a field's type.
        parts = kind.split('/')
        found.append(f'{package}/msg/{kind}' if len(parts) == 1 else f'{parts[0]}/msg/{parts[-1]}')
    return found


def _text(type_name: str) -> str:
    parts = type_name.split('/')
    if len(parts) != 3 or parts[1] != 'msg':
        raise SchemaError(f'{type_name!r} is no message type; write package/msg/Type')
    tried = []
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        if prefix:
            path = Path(prefix) / 'share' / parts[0] / 'msg' / f'{parts[2]}.msg'
            if path.is_file():
                return path.read_text(encoding='utf-8').rstrip() + '\n'
            tried.append(str(path))
    raise SchemaError(
        f'no definition of {type_name}; looked for {", ".join(tried) or "nothing"}. Is the '
        'workspace on AMENT_PREFIX_PATH (source tools/env.sh, or install/setup.bash)?')
