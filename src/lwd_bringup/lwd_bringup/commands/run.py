# SPDX-License-Identifier: Apache-2.0
"""Commands that start nodes: up, expert."""

from __future__ import annotations

import argparse
from pathlib import Path

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
from lwd_bringup.errors import ConfigError


def add(commands: Commands) -> None:
    """Add the commands."""
    up = commands.add_parser('up', help='start the nodes of a configuration, until Ctrl-C')
    takes_config(up)
    up.add_argument('--dir', type=Path, help='where logs go (default: runs/<config>-<time>)')
    up.set_defaults(run=_up)

    expert = commands.add_parser(
        'expert', help='a simulated G1 under ROS, driven by the scripted expert')
    takes_settings(expert)
    expert.add_argument('--episodes', type=int, default=10, help='how many (default: 10)')
    expert.add_argument('--seed', type=int, default=0, help='of the first scene (default: 0)')
    expert.add_argument('--dir', type=Path, help='where results go (default: runs/expert-<time>)')
    expert.set_defaults(run=_expert)


def _up(options: argparse.Namespace, console: Console) -> int:
    from lwd_bringup.nodes import environment, plan
    from lwd_bringup.prepare import prepare
    from lwd_bringup.supervise import Supervised
    config = loaded(options)
    prepare(config)
    folder = run_folder(options, Path(options.config).stem)
    supervised = Supervised(
        plan(config), folder, environment=environment(config), log_level=config.log_level)
    console.print(f'domain {config.domain}; logs in {folder}/logs; Ctrl-C stops', highlight=False)
    with supervised.running():
        supervised.wait(lambda line: console.print(line, highlight=False))
    return 0


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
