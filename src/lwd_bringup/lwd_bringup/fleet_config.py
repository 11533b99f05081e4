# SPDX-License-Identifier: Apache-2.0
"""A fleet of simulated robots and their learner on one machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lwd_bringup import learner_config, robot_config
from lwd_bringup.errors import ConfigError
from lwd_bringup.learner_config import LearnerBringup
from lwd_bringup.robot_config import Bringup

_SEEDS = 100_000
"""Scenes of a robot's own."""
KEYS, STORE, SPOOL, SHELVES, RUN = 'keys', 'store', 'spool', 'shelves', 'learner'
_KEY = 'learner'


@dataclass(frozen=True)
class FleetBringup:
    """A fleet of simulated robots and their learner on one machine."""

    robots: int = field(default=2, metadata={'range': (1, 64)})
    """How many."""
    folder: str = 'runs/fleet'
    """Where everything goes: store, spools, shelves, keys, the learner's run."""
    domain: int = field(default=0, metadata={'range': (0, 101)})
    """ROS_DOMAIN_ID of the fleet."""
    local_only: bool = True
    """Whether nodes find each other on this machine only."""
    policy: str = ''
    """Folder of the policy to begin with, on the robots and in the learner."""
    pool: str = ''
    """Folder of offline episodes to learn from as well."""
    log_level: str = field(
        default='info', metadata={'choices': ('debug', 'info', 'warn', 'error', 'fatal')})
    """Of every node."""
    robot: Bringup = field(default_factory=lambda: Bringup(record=True))
    """Each of the robots; name, folders and domain are filled in."""
    learner: LearnerBringup = field(default_factory=LearnerBringup)
    """The learner; folders and domain are filled in."""


def complete(config: FleetBringup, given: Mapping[str, Any], where: str) -> FleetBringup:
    """Return a configuration with what holds for all filled in.

    Raises:
        ConfigError: Settings that cannot be right together.
    """
    if not config.policy:
        raise ConfigError(f'{where}: policy is empty; say which policy the fleet begins with')
    folder = Path(config.folder).expanduser().absolute()
    policy = str(Path(config.policy).expanduser().absolute())
    shared: dict[str, Any] = {
        'domain': config.domain, 'local_only': config.local_only, 'log_level': config.log_level,
        'store': str(folder / STORE)}
    learner = learner_config.complete(
        replace(config.learner, **shared, run=str(folder / RUN), init=policy, pool=config.pool,
                signing_key=str(folder / KEYS / f'{_KEY}.key')),
        _within(given, 'learner'), where)
    robot = replace(config.robot, **shared, policy=policy, spool=str(folder / SPOOL),
                    keys=str(folder / KEYS / f'{_KEY}.pub'), record=True)
    for name, value in _within(given, 'robot').items():
        if name in ('robot', 'spool', 'store', 'keys', 'shelf', 'domain', 'policy', 'record'):
            raise ConfigError(
                f'{where}: robot.{name} is {value!r}; in a fleet it follows from the settings of '
                'the fleet')
    return replace(config, folder=str(folder), policy=policy, learner=learner, robot=robot)


def robots(config: FleetBringup) -> list[Bringup]:
    """Return the configuration of each robot: names, folders and scenes of its own."""
    found = []
    for number in range(1, config.robots + 1):
        name = f'g1_{number:02d}'
        session = config.robot.recorder.session
        recorder = replace(config.robot.recorder, session=replace(
            session, first_seed=session.first_seed + (number - 1) * _SEEDS))
        found.append(robot_config.complete(
            replace(config.robot, robot=name, recorder=recorder,
                    shelf=str(Path(config.folder) / SHELVES / name)),
            {}, f'robot {name}'))
    return found


def prepare(config: FleetBringup) -> None:
    """Make folders and keys where they are missing, and register the offline pool.

    Raises:
        ConfigError, DataError, PolicyError: See learner_config.prepare, and the keys' errors.
    """
    from lwd_policy.signature import new_keys
    folder = Path(config.folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / KEYS / f'{_KEY}.key').is_file():
        new_keys(folder / KEYS, _KEY)
    learner_config.prepare(config.learner)


def _within(given: Mapping[str, Any], section: str) -> dict[str, Any]:
    """Return what was given of a section, without the section's name."""
    return {key.partition('.')[2]: value for key, value in given.items()
            if key.startswith(section + '.')}
