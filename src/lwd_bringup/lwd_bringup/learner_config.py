# SPDX-License-Identifier: Apache-2.0
"""What runs on the learner's machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lwd_bringup.errors import ConfigError
from lwd_learner_bridge.coordinator_node import CoordinatorConfig
from lwd_learner_bridge.online_config import OnlineConfig
from lwd_learner_bridge.publisher_node import PublisherConfig

_SHARED = ('store', 'replay', 'run', 'init', 'published', 'signing_key')


@dataclass(frozen=True)
class LearnerBringup:
    """What runs on the learner's machine."""

    domain: int = field(default=0, metadata={'range': (0, 101)})
    """ROS_DOMAIN_ID, whatever the shell exports: that of the fleet."""
    local_only: bool = True
    """Whether nodes find each other on this machine only."""
    store: str = 'store'
    """Where robots upload to: a folder, or s3://bucket/prefix."""
    replay: str = ''
    """Folder of the replay catalogue; empty: the store, if that is a folder."""
    pool: str = ''
    """Folder of offline episodes, as `lwd pool make` writes them, to learn from as well."""
    run: str = 'runs/learner'
    """Folder of checkpoints, metrics and published policies."""
    init: str = ''
    """Folder of the policy to begin from; its critic may lie in critic/ beside it."""
    signing_key: str = ''
    """Private key that policies are signed with; see `lwd keys new`."""
    log_level: str = field(
        default='info', metadata={'choices': ('debug', 'info', 'warn', 'error', 'fatal')})
    """Of every node."""
    coordinator: CoordinatorConfig = field(default_factory=CoordinatorConfig)
    """Parameters of the coordinator; store and replay are those above."""
    learner: OnlineConfig = field(default_factory=OnlineConfig)
    """Parameters of the learner; its folders are those above."""
    publisher: PublisherConfig = field(default_factory=PublisherConfig)
    """Parameters of the publisher; the key is that above."""


def complete(config: LearnerBringup, given: Mapping[str, Any], where: str) -> LearnerBringup:
    """Return a configuration with what holds for several nodes filled into each.

    Raises:
        ConfigError: Settings that cannot be right together.
    """
    for key, value in given.items():
        section, _, name = key.partition('.')
        if name in _SHARED and section in ('coordinator', 'learner', 'publisher') and (
                value != getattr(config, name, None)):
            raise ConfigError(f'{where}: {key} is {value!r}; set {name} alone, or run: they hold '
                              'for every node')
    replay = config.replay
    if not replay:
        if '://' in config.store and not config.store.startswith('file://'):
            raise ConfigError(
                f'{where}: store is {config.store!r}, which is no folder of this machine; say '
                'where the catalogue and copies of the segments go: replay=FOLDER')
        replay = config.store.removeprefix('file://')
    replay = str(Path(replay).expanduser().absolute())
    run = Path(config.run).expanduser().absolute()
    return replace(
        config, replay=replay, run=str(run),
        coordinator=replace(config.coordinator, store=config.store, replay=replay),
        learner=replace(config.learner, store=replay, run=str(run), init=config.init),
        publisher=replace(
            config.publisher, published=str(run / 'published'), signing_key=config.signing_key))


def prepare(config: LearnerBringup) -> None:
    """Register the offline pool, if there is one, before the coordinator starts.

    Raises:
        ConfigError: There is no such pool.
        DataError: It cannot be read.
    """
    if not config.pool:
        return
    from lwd_data.replay.catalogue import Catalogue
    pool = Path(config.pool).expanduser().absolute()
    if not pool.is_dir():
        raise ConfigError(f'pool is {config.pool!r}, which is no folder; make one: '
                          f'./lwd pool make {config.pool}')
    with Catalogue(Path(config.replay)) as catalogue:
        catalogue.add_folder(pool, origin='offline')
