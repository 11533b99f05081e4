# SPDX-License-Identifier: Apache-2.0
"""Commands that start nodes: up, expert."""

from __future__ import annotations

import argparse
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from lwd_bringup.commands.shared import (
    Commands,
    loaded,
    run_folder,
    settings,
    takes_config,
    takes_settings,
)
from lwd_bringup.config import CONFIGS, Machine, load
from lwd_bringup.errors import ConfigError

if TYPE_CHECKING:
    from lwd_bringup.run_folder import Begun


def add(commands: Commands) -> None:
    """Add the commands."""
    up = commands.add_parser('up', help='start the nodes of a configuration, until Ctrl-C')
    takes_config(up, optional=True)
    up.add_argument('--dir', type=Path, help='where logs go (default: runs/<config>-<time>)')
    up.add_argument('--resume', type=Path, metavar='RUN',
                    help='go on with a run that was stopped, with its configuration')
    up.set_defaults(run=_up)

    expert = commands.add_parser(
        'expert', help='a simulated G1 under ROS, driven by the scripted expert')
    takes_settings(expert)
    expert.add_argument('--episodes', type=int, default=10, help='how many (default: 10)')
    expert.add_argument('--seed', type=int, default=0, help='of the first scene (default: 0)')
    expert.add_argument('--dir', type=Path, help='where results go (default: runs/expert-<time>)')
    expert.set_defaults(run=_expert)


def _up(options: argparse.Namespace, console: Console) -> int:
    from lwd_bringup.domains import claim_nodes
    from lwd_bringup.nodes import environment, executable, plan
    from lwd_bringup.prepare import lack_of_room, own_folders, prepare
    from lwd_bringup.run_folder import begin, held, make
    from lwd_bringup.supervise import Supervised
    folder, config, begun = _run(options)
    if why := lack_of_room(config):
        # What is recorded already can still be uploaded, and makes room.
        console.print(f'[yellow]warning:[/yellow] {why}', highlight=False)
    nodes = plan(config)
    for spec in nodes:
        executable(spec)
    # Listening to who is there already is done as the nodes would do it.
    os.environ.update(environment(config))
    with console.status('looking for others in the domain'):
        claim_nodes(config.domain, nodes)
    with contextlib.ExitStack() as stack:
        begin(folder, begun)
        for place in dict.fromkeys((folder, *own_folders(config))):
            make(place)
            stack.enter_context(held(place))
        prepare(config)
        supervised = Supervised(
            nodes, folder, environment=environment(config), log_level=config.log_level)
        console.print(f'domain {config.domain}; logs in {folder}/logs; Ctrl-C stops, and ./lwd up '
                      f'--resume {folder} goes on', highlight=False)
        stack.enter_context(supervised.running())
        supervised.wait(lambda line: console.print(line, highlight=False))
    return 0


def _run(options: argparse.Namespace) -> tuple[Path, Machine, Begun]:
    """Return the folder of a run, its configuration, and what it is begun with."""
    from lwd_bringup.run_folder import Begun, begun_with
    if options.resume is None:
        if options.config is None:
            raise ConfigError(f'name a configuration, {" or ".join(CONFIGS)}, or a run to go on '
                              'with: --resume RUN')
        begun = Begun(options.config, settings(options.settings), os.getcwd())
        return run_folder(options, Path(options.config).stem), loaded(options), begun
    if options.config is not None or options.dir is not None:
        raise ConfigError(
            f'--resume goes on with what {options.resume} was begun with; leave out the '
            'configuration, settings and --dir, or begin a new run without --resume')
    folder = options.resume.absolute()
    begun = begun_with(folder)
    # Relative paths are meant as they were typed.
    os.chdir(begun.where)
    return folder, load(begun.config, begun.settings), begun


def _expert(options: argparse.Namespace, console: Console) -> int:
    from lwd_bringup import expert_demo
    if options.episodes < 1:
        raise ConfigError(f'--episodes is {options.episodes}; it must be at least 1')
    folder = run_folder(options, 'expert')
    summary = expert_demo.run(
        folder, episodes=options.episodes, seed=options.seed,
        overrides=settings(options.settings), console=console)
    dropped = sum(summary['dropped'].values())
    table = Table(box=None, show_header=False)
    table.add_row('success', f'{summary["successes"]} of {summary["episodes"]}')
    table.add_row('control steps', f'{summary["steps"]}, {summary["steps_per_second"]} a second')
    table.add_row('mean episode', f'{summary["mean_robot_seconds"]} s of robot time')
    table.add_row('dropped messages', str(dropped))
    table.add_row('pictures', str(folder / 'contact_sheet.png'))
    table.add_row('summary, logs', f'{folder / "summary.json"}, {folder / "logs"}')
    console.print(table)
    return 0
