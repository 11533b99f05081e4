# SPDX-License-Identifier: Apache-2.0
"""Configurations: which nodes run on a machine, with which parameters."""

from __future__ import annotations

import os
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from lwd_bringup import fleet_config, learner_config, robot_config
from lwd_bringup.errors import ConfigError
from lwd_bringup.fleet_config import FleetBringup
from lwd_bringup.learner_config import LearnerBringup
from lwd_bringup.robot_config import Bringup
from lwd_ros.errors import ParameterError, alternatives
from lwd_ros.parameters import build, descriptions, flatten, leaves

Machine = Bringup | LearnerBringup | FleetBringup
CONFIGS: Mapping[str, type[Machine]] = {
    'sim_robot': Bringup, 'robot': Bringup, 'learner': LearnerBringup, 'fleet': FleetBringup}
"""The shipped configurations, and what each is of."""
_KINDS: Mapping[str, type[Machine]] = {
    'robot': Bringup, 'learner': LearnerBringup, 'fleet': FleetBringup}
_KIND = 'kind'


def find_config(name: str) -> Path:
    """Return the file of a configuration: a path, or the name of one that comes with LWD.

    Raises:
        ConfigError: There is none.
    """
    path = Path(name)
    if path.suffix in ('.yaml', '.yml'):
        if not path.is_file():
            raise ConfigError(f'there is no file {path}; the shipped ones: {", ".join(CONFIGS)}')
        return path
    for folder in config_folders():
        path = folder / f'{name}.yaml'
        if path.is_file():
            return path
    raise ConfigError(
        f'unknown configuration {name!r}{alternatives(name, CONFIGS)}, or a path to a .yaml')


def config_folders() -> list[Path]:
    """Return where the shipped configurations may lie: the checkout, then the install prefixes."""
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    return [
        Path(__file__).resolve().parents[3] / 'config',
        *(Path(prefix) / 'share' / 'lwd_bringup' / 'config' for prefix in prefixes if prefix)]


def rviz_config() -> Path:
    """Return the file of what rviz shows.

    Raises:
        ConfigError: It is not installed.
    """
    for folder in config_folders():
        path = folder / 'lwd.rviz'
        if path.is_file():
            return path
    raise ConfigError('lwd.rviz is not installed; build the workspace (tools/setup.sh)')


def load(name: str, overrides: Mapping[str, Any] | None = None) -> Machine:
    """Read a configuration, change what overrides say, and check it.

    Args:
        name: See `find_config`.
        overrides: Dotted names and values that replace those of the file.

    Raises:
        ConfigError: It names the file, the key, the value and the nearest known key.
    """
    path = find_config(name)
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8')) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f'{path} is no YAML: {error}') from error
    if not isinstance(content, dict):
        raise ConfigError(f'{path} holds a {type(content).__name__}; it must hold keys and values')
    kind = _kind(name, content.pop(_KIND, None), path)
    values = dict(flatten(content))
    for key, value in (overrides or {}).items():
        values[key] = value
    where = str(path)
    if overrides:
        where += ' with ' + ', '.join(f'{key}={value}' for key, value in overrides.items())
    try:
        config = build(kind, values, where=where)
    except ParameterError as error:
        raise ConfigError(str(error)) from error
    if isinstance(config, FleetBringup):
        return fleet_config.complete(config, values, where)
    if isinstance(config, LearnerBringup):
        return learner_config.complete(config, values, where)
    return robot_config.complete(config, values, where)


def load_robot(name: str, overrides: Mapping[str, Any] | None = None) -> Bringup:
    """Read the configuration of a robot.

    Raises:
        ConfigError: As `load`, or it is of something else.
    """
    config = load(name, overrides)
    if not isinstance(config, Bringup):
        raise ConfigError(f'{name} is the configuration of no robot')
    return config


def _kind(name: str, said: Any, path: Path) -> type[Machine]:
    """Return what a file is a configuration of: by its name if it is a shipped one."""
    if said is None:
        return CONFIGS.get(name, Bringup)
    if said not in _KINDS:
        raise ConfigError(f'{path}: {_KIND} is {said!r}{alternatives(str(said), _KINDS)}')
    return _KINDS[said]


def parse_value(text: str) -> Any:
    """Return the value of a KEY=VALUE override, read as YAML."""
    return yaml.safe_load(text)


def sections(kind: type[Machine]) -> tuple[str, ...]:
    """Return the settings of a configuration that have settings of their own."""
    return tuple(item.name for item in fields(kind)
                 if is_dataclass(typing.get_type_hints(kind)[item.name]))


def arguments(kind: type[Machine]) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return (name, description, choices) of the settings that are launch arguments too."""
    described = descriptions(typing.cast('type', kind))
    inner = sections(kind)
    return [
        (item.name, described[item.name], tuple(item.metadata.get('choices', ())))
        for item in fields(kind) if item.name not in (*inner, 'backend')]


def parameter_values(config: Any, prefix: str = '') -> dict[str, Any]:
    """Return a configured dataclass as ROS parameters: dotted names and plain values."""
    values = {}
    for name, _, _, _ in leaves(type(config)):
        value = config
        for part in name.split('.'):
            value = getattr(value, part)
        values[prefix + name] = list(value) or [''] if isinstance(value, tuple) else value
    return values
