# SPDX-License-Identifier: Apache-2.0
"""Pads from YAML files, one file a pad."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from lwd_actor.errors import PadError
from lwd_actor.teleop.pad import PadConfig
from lwd_ros.errors import ParameterError, alternatives
from lwd_ros.parameters import build, flatten


def load_pad(name: str) -> PadConfig:
    """Return a pad: the path of a YAML file, or the name of one that comes with LWD.

    Raises:
        PadError: There is no such pad, or it cannot be right; the message names the file, the
            key, the value and the nearest known one.
    """
    path = _find(name)
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except yaml.YAMLError as error:
        raise PadError(f'{path} is no YAML: {error}') from error
    if not isinstance(content, dict):
        raise PadError(f'{path} holds a {type(content).__name__}; it must hold keys and values')
    try:
        return build(PadConfig, dict(flatten(content)), where=str(path))
    except ParameterError as error:
        raise PadError(str(error)) from error


def _find(name: str) -> Path:
    path = Path(name)
    if path.suffix in ('.yaml', '.yml'):
        if not path.is_file():
            raise PadError(f'there is no file {path}; the shipped pads: {", ".join(_shipped())}')
        return path
    shipped = _shipped()
    if name not in shipped:
        raise PadError(f'unknown pad {name!r}{alternatives(name, shipped)}, or a path to a .yaml')
    return shipped[name]


def _shipped() -> dict[str, Path]:
    """Return the pads of the checkout, or of the install prefixes."""
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    folders = [
        Path(__file__).resolve().parents[4] / 'config' / 'pads',
        *(Path(prefix) / 'share' / 'lwd_actor' / 'pads' for prefix in prefixes if prefix)]
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob('*.yaml')):
            found.setdefault(path.stem, path)
    return found
