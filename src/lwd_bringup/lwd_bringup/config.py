# SPDX-License-Identifier: Apache-2.0
"""Configuration of one machine: which robot, which nodes, with which parameters."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from g1_driver.config import LOCKSTEP, DriverConfig
from g1_driver.expert_node import ExpertConfig
from lwd_actor.arbiter_node import ArbiterConfig
from lwd_actor.errors import PadError
from lwd_actor.markers_config import MarkersConfig
from lwd_actor.operator_node import OperatorNodeConfig
from lwd_actor.policy_config import PolicyNodeConfig
from lwd_actor.recorder_node import RecorderConfig
from lwd_actor.recording.spool import default_spool
from lwd_actor.teleop.pad_file import load_pad
from lwd_actor.teleop_node import TeleopNodeConfig
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
    policy: str = ''
    """Drive with a policy: its folder, or the address of a server, ws://HOST:PORT."""
    shelf: str = ''
    """Follow a shelf of received policies, in this folder; `policy` is what to begin with."""
    pad: str = ''
    """Teleoperate with a pad: gamepad, spacemouse, or the path of a YAML file; empty: do not."""
    joy_node: bool = False
    """Start joy_node of the ROS distribution here, for a pad that is plugged in here."""
    operator: bool = False
    """Let the scripted operator watch a simulated robot, and take over with a pad of its own."""
    record: bool = False
    """Record episodes: on demand through start_episode and end_episode, or with recorder.auto one
    after the other."""
    spool: str = ''
    """Folder for recorded episodes, <spool>/<robot>/<episode>/; empty: ~/.ros/lwd/spool."""
    use_sim_time: bool = False
    """In lockstep: let rviz and robot_state_publisher run on the driver's simulated time."""
    rviz: bool = False
    """Open rviz and robot_state_publisher, where the distribution has them."""
    log_level: str = field(
        default='info', metadata={'choices': ('debug', 'info', 'warn', 'error', 'fatal')})
    """Of every node."""
    driver: DriverConfig = field(default_factory=DriverConfig)
    """Parameters of the driver node; its robot and backend are those above."""
    arbiter: ArbiterConfig = field(default_factory=ArbiterConfig)
    """Parameters of the arbiter; without a wait of its own it takes what suits driver.mode."""
    teleop: TeleopNodeConfig = field(default_factory=TeleopNodeConfig)
    """Parameters of the teleoperation node; its pad is that above."""
    recorder: RecorderConfig = field(default_factory=RecorderConfig)
    """Parameters of the recorder; spool, cameras and lockstep are those above."""
    policy_node: PolicyNodeConfig = field(default_factory=PolicyNodeConfig)
    """Parameters of the policy node; policy and shelf are those above, the mode the driver's."""
    markers: MarkersConfig = field(default_factory=MarkersConfig)
    """Parameters of the node that shows paths and texts in rviz."""
    sim_expert: ExpertConfig = field(default_factory=ExpertConfig)
    """Parameters of the scripted expert."""
    sim_operator: OperatorNodeConfig = field(default_factory=OperatorNodeConfig)
    """Parameters of the scripted operator."""


SECTIONS = (
    'driver', 'arbiter', 'teleop', 'recorder', 'policy_node', 'markers',
    'sim_expert', 'sim_operator')
"""The settings that are a node's parameters."""
OPERATOR = 'operator'
"""The scripted operator's pad."""


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
    for name in ('expert', 'operator'):
        if config.backend == 'sdk' and getattr(config, name):
            raise ConfigError(
                f'{path}: {name} is true, but the scripted {name} is for simulations only')
    if config.expert and (config.policy or config.shelf):
        raise ConfigError(
            f'{where}: expert is true, but there is a policy too, '
            f'{config.policy or config.shelf}; one of them drives')
    for key, given in values.items():
        section, _, name = key.partition('.')
        if section in SECTIONS and name in (
                'robot', 'backend', 'pad', 'spool', 'policy', 'shelf') and (
                given != getattr(config, name)):
            raise ConfigError(
                f'{where}: {key} is {given!r}, but {name} is {getattr(config, name)!r}; '
                f'set {name} alone, it holds for every node')
    return _completed(config, where)


def _completed(config: Bringup, where: str) -> Bringup:
    """Return a configuration with what holds for every node filled into each."""
    pad = config.pad
    if config.operator:
        if pad not in ('', OPERATOR):
            raise ConfigError(
                f'{where}: operator is true, but pad is {pad!r}; the scripted operator has a pad '
                'of its own: leave pad empty, or operator false')
        pad = OPERATOR
    if pad:
        try:
            load_pad(pad)
        except PadError as error:
            raise ConfigError(f'{where}: pad: {error}') from error
    arbiter, teleop = config.arbiter, replace(
        config.teleop, pad=pad or config.teleop.pad)
    try:
        driver = replace(config.driver, robot=config.robot, backend=config.backend)
    except ValueError as error:
        raise ConfigError(f'{where}: driver: {error}') from error
    # Each in the chain waits a little less long than who waits for it.
    patience = driver.lockstep_timeout if driver.mode == LOCKSTEP else 0.0
    if arbiter.wait == 0.0:
        arbiter = replace(arbiter, wait=0.9 * patience)
    if config.operator and teleop.wait == 0.0:
        teleop = replace(teleop, wait=0.8 * patience, operator_id='oracle')
    if config.recorder.auto and not (config.record and config.backend == 'sim'):
        raise ConfigError(
            f'{where}: recorder.auto is true, but record is {str(config.record).lower()} and '
            f'backend {config.backend!r}; it records simulated robots, with record=true')
    spool = Path(config.spool).expanduser().absolute() if config.spool else default_spool()
    recorder = replace(
        config.recorder, robot=config.robot, spool=str(spool), cameras=driver.cameras.names,
        lockstep=driver.mode == LOCKSTEP)
    remote = config.policy.startswith(('ws://', 'wss://'))
    policy = replace(
        config.policy_node, robot=config.robot, mode=driver.mode, shelf=config.shelf,
        policy='' if remote else config.policy,
        remote=config.policy if remote else config.policy_node.remote)
    return replace(
        config, pad=pad, policy_node=policy, recorder=recorder, driver=driver,
        arbiter=replace(arbiter, robot=config.robot),
        teleop=replace(teleop, robot=config.robot),
        sim_expert=replace(config.sim_expert, robot=config.robot),
        sim_operator=replace(config.sim_operator, robot=config.robot))


def parse_value(text: str) -> Any:
    """Return the value of a KEY=VALUE override, read as YAML."""
    return yaml.safe_load(text)


def arguments() -> list[tuple[str, str, tuple[str, ...]]]:
    """Return (name, description, choices) of the settings that are launch arguments too."""
    described = descriptions(Bringup)
    return [
        (item.name, described[item.name], tuple(item.metadata.get('choices', ())))
        for item in fields(Bringup) if item.name not in (*SECTIONS, 'backend')]


def parameter_values(config: Any, prefix: str = '') -> dict[str, Any]:
    """Return a configured dataclass as ROS parameters: dotted names and plain values."""
    values = {}
    for name, _, _, _ in leaves(type(config)):
        value = config
        for part in name.split('.'):
            value = getattr(value, part)
        values[prefix + name] = list(value) or [''] if isinstance(value, tuple) else value
    return values
