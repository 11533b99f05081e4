# SPDX-License-Identifier: Apache-2.0
"""`lwd lineage`: which versions, episodes, robots and interventions are behind a policy."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from lwd_bringup.commands.shared import Commands
from lwd_bringup.errors import BringupError

if TYPE_CHECKING:
    from lwd_learner_bridge.lineage import EpisodeBehind, Lineage

_SUCCESS = 'success'


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser(
        'lineage', help='list what is behind a policy: versions, episodes, robots, interventions')
    command.add_argument('version', help='its version, or the first digits of it')
    command.add_argument('--published', type=Path, default=Path('runs/learner/published'),
                         help="the learner's published policies (default: %(default)s)")
    command.add_argument('--store', type=Path,
                         help='the replay store, for the episodes of the snapshot')
    command.add_argument('--episodes', action='store_true', help='list every episode')
    command.set_defaults(run=_lineage)


def _lineage(options: argparse.Namespace, console: Console) -> int:
    from lwd_data.errors import DataError
    from lwd_learner_bridge.errors import BridgeError
    from lwd_learner_bridge.lineage import episodes_behind, trace
    from lwd_policy.errors import PolicyError
    from lwd_policy.published import Published
    try:
        found = trace(Published(options.published).all(), options.version)
        _show(found, console)
        if options.store and found.snapshot:
            _show_episodes(
                episodes_behind(options.store, found.snapshot), console, options.episodes)
    except (BridgeError, PolicyError, DataError) as error:
        raise BringupError(str(error)) from error
    return 0


def _show(found: Lineage, console: Console) -> None:
    table = Table(show_header=False, box=None)
    card = found.card
    table.add_row('[bold]version[/bold]', found.version)
    if card is not None:
        table.add_row('[bold]name[/bold]', f'{card.name}, by {card.algorithm}, {card.created}')
    for one in found.publications:
        table.add_row('[bold]published[/bold]', f'number {one.number}, update {one.update}')
    for title, versions in (('parents', found.parents), ('children', found.children)):
        table.add_row(f'[bold]{title}[/bold]', '\n'.join(versions) or 'none known')
    table.add_row('[bold]snapshot[/bold]', found.snapshot or 'none')
    console.print(table)


def _show_episodes(
    episodes: Iterable[EpisodeBehind], console: Console, every: bool,
) -> None:
    robots: dict[str, list[EpisodeBehind]] = defaultdict(list)
    listed = Table('episode', 'robot', 'task', 'label', 'steps', 'interventions', 'policies',
                   box=None)
    for episode in episodes:
        robots[episode.robot].append(episode)
        listed.add_row(
            episode.name, episode.robot, episode.task, episode.label or 'running',
            str(episode.steps), str(episode.interventions),
            ', '.join(version[:12] for version in episode.versions))
    if every:
        console.print(listed)
    table = Table('robot', 'episodes', 'successes', 'steps', 'interventions', 'by humans',
                  'policies', box=None)
    total: list[EpisodeBehind] = []
    for robot, behind in sorted(robots.items()):
        _add(table, robot, behind)
        total += behind
    _add(table, 'all', total)
    console.print(table)


def _add(table: Table, name: str, behind: list[EpisodeBehind]) -> None:
    steps = sum(episode.steps for episode in behind)
    human = sum(episode.human_steps for episode in behind)
    table.add_row(
        name, str(len(behind)), str(sum(episode.label == _SUCCESS for episode in behind)),
        str(steps), str(sum(episode.interventions for episode in behind)),
        f'{human / steps:.1%}' if steps else '',
        str(len({version for episode in behind for version in episode.versions})))
