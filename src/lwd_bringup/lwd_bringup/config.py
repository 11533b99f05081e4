# SPDX-License-Identifier: Apache-2.0
"""Configuration of one machine: which robot, which nodes, with which parameters."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from g1_driver.config import DriverConfig
from lwd_bringup.errors import ConfigError
from lwd_ros.errors import ParameterError, alternatives
from lwd_ros.parameters import build, descriptions, flatten, leaves

CONFIGS = ('sim_robot', 'robot')


@dataclass(frozen=True)
class Bringup:
    """What runs on one machine."""

    robot: str = 'g1_01'
    """The robot's name and namespace: letters, digits and underscores."""
    domain: int = field(default=0, metadata={'range': (0, 101)})
    """ROS_DOMAIN_ID, whatever the shell exports: a fleet shares one, others must not use it."""
    local_only: bool = True
    """Whether nodes find each other on this machine only."""
    backend: str = field(default='sim', metadata={'choices': ('sim', 'sdk')})
    """sim: a simulated robot. sdk: the real one."""
    expert: bool = False
    """Drive a simulated robot with the task's scripted expert."""
    use_sim_time: bool = False
    """In lockstep: let rviz and robot_state_publisher run on the driver's simulated time."""
    rviz: bool = False
    """Open rviz and robot_state_publisher, where the distribution has them."""
    log_level: str = field(
        default='info', metadata={'choices': ('debug', 'info', 'warn', 'error', 'fatal')})
    """Of every node."""
    driver: DriverConfig = field(default_factory=DriverConfig)
    """Parameters of the driver node; its robot and backend are those above."""


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


def load(name: str, overrides: Mapping[str, Any] | None = None) -> Bringup:
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
    values = dict(flatten(content))
    for key, value in (overrides or {}).items():
        values[key] = value
    where = str(path)
    if overrides:
        where += ' with ' + ', '.join(f'{key}={value}' for key, value in overrides.items())
    try:
        config = build(Bringup, values, where=where)
    except ParameterError as error:
        raise ConfigError(str(error)) from error
    if not config.robot.replace('_', 'a').isalnum() or config.robot[:1].isdigit():
        raise ConfigError(
            f'{path}: robot is {config.robot!r}; use letters, digits and underscores, as in g1_01')
    if config.backend == 'sdk' and config.expert:
        raise ConfigError(
            f'{path}: expert is true, but the scripted expert drives simulations only')
    for name in ('robot', 'backend'):
        given = values.get(f'driver.{name}')
        if given is not None and given != getattr(config, name):
            raise ConfigError(
                f'{where}: driver.{name} is {given!r}, but {name} is {getattr(config, name)!r}; '
                f'set {name} alone, it holds for every node')
    try:
        driver = replace(config.driver, robot=config.robot, backend=config.backend)
    except ValueError as error:
        raise ConfigError(f'{path}: driver: {error}') from error
    return replace(config, driver=driver)


def parse_value(text: str) -> Any:
    """Return the value of a KEY=VALUE override, read as YAML."""
    return yaml.safe_load(text)


def arguments() -> list[tuple[str, str, tuple[str, ...]]]:
    """Return (name, description, choices) of the settings that are launch arguments too."""
    described = descriptions(Bringup)
    return [
        (item.name, described[item.name], tuple(item.metadata.get('choices', ())))
        for item in fields(Bringup) if item.name not in ('driver', 'backend')]


def parameter_values(config: Any, prefix: str = '') -> dict[str, Any]:
    """Return a configured dataclass as ROS parameters: dotted names and plain values."""
    values = {}
    for name, _, _, _ in leaves(type(config)):
        value = config
        for part in name.split('.'):
            value = getattr(value, part)
        values[prefix + name] = list(value) or [''] if isinstance(value, tuple) else value
    return values
