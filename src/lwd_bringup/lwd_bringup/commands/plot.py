# SPDX-License-Identifier: Apache-2.0
"""`lwd plot`: what a training run did, and what its critic says along episodes."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from lwd_bringup.commands.shared import Commands
from lwd_bringup.errors import BringupError


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser(
        'plot', help='draw learning curves, and values along successful and failed episodes')
    command.add_argument('folder', type=Path, help='the folder of a run of `lwd train`')
    command.add_argument('--task', default='', help='whose episodes (default: the first one)')
    command.add_argument('--episodes', type=int, default=3,
                         help='of each outcome (default: 3)')
    command.set_defaults(run=_plot)


def _plot(options: argparse.Namespace, console: Console) -> int:
    from lwd_data.errors import DataError
    from lwd_learner import figures, metrics
    from lwd_policy.errors import PolicyError
    from lwd_policy.store import CRITIC
    file = options.folder / metrics.FILE
    if not file.is_file():
        raise BringupError(f'{options.folder} holds no run: there is no {metrics.FILE}')
    curves = options.folder / 'curves.png'
    figures.draw_curves(metrics.read(file), curves)
    console.print(f'curves in {curves}', highlight=False)
    if not (options.folder / CRITIC).is_dir():
        console.print('no critic in this run: no values to draw')
        return 0
    from lwd_rollout.value_figure import draw_values
    values = options.folder / 'values.png'
    try:
        draw_values(options.folder, values, task=options.task, episodes=options.episodes)
    except (DataError, PolicyError) as error:
        raise BringupError(str(error)) from error
    console.print(f'values along episodes in {values}', highlight=False)
    return 0
