# SPDX-License-Identifier: Apache-2.0
"""`lwd pool`: make and show an offline pool."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from lwd_bringup.commands.shared import Commands
from lwd_bringup.errors import BringupError


def add(commands: Commands) -> None:
    """Add the commands."""
    pool = commands.add_parser('pool', help='make or show an offline pool of episodes')
    actions = pool.add_subparsers(required=True, metavar='ACTION')

    make = actions.add_parser('make', help='make a pool, or finish an interrupted one')
    make.add_argument('folder', type=Path, help='where; an interrupted pool there is finished')
    make.add_argument('--hours', type=float, default=1.0,
                      help='of robot time, all tasks together (default: 1)')
    make.add_argument('--tasks', default='', help='names with commas between (default: all)')
    make.add_argument('--distribution', default='train', help='train (default) or deploy')
    make.add_argument('--first-seed', type=int, default=0, help='of the first scenes (default: 0)')
    make.add_argument('--cameras', default='',
                      help='names with commas between, head,left_wrist,right_wrist '
                           '(default: none, joints and scene features only)')
    make.add_argument('--processes', type=int, default=0, help='default: one a core')
    make.set_defaults(run=_make)

    show = actions.add_parser('show', help='draw the mixture and the episode lengths')
    show.add_argument('folder', type=Path, help='of a pool')
    show.add_argument('--verify', action='store_true', help='check the hash of every episode')
    show.set_defaults(run=_show)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(',') if name)


def _make(options: argparse.Namespace, console: Console) -> int:
    from lwd_rollout.errors import RolloutError
    from lwd_rollout.pool_make import make
    from lwd_rollout.pool_plan import PoolPlan
    try:
        plan = PoolPlan(
            hours=options.hours, tasks=_names(options.tasks), distribution=options.distribution,
            first_seed=options.first_seed, cameras=_names(options.cameras))
        with Progress(
            TextColumn('{task.description}'), BarColumn(),
            TextColumn('{task.completed:.2f}/{task.total:.2f} h'), TimeElapsedColumn(),
            TimeRemainingColumn(), console=console,
        ) as bar:
            shown = bar.add_task('pool', total=plan.hours)
            pool = make(
                options.folder, plan, processes=options.processes,
                progress=lambda hours, _: bar.update(shown, completed=min(hours, plan.hours)))
    except RolloutError as error:
        raise BringupError(str(error)) from error
    console.print(f'{len(pool.entries)} episodes, {pool.hours():.2f} h, in {options.folder}',
                  highlight=False)
    return 0


def _show(options: argparse.Namespace, console: Console) -> int:
    from lwd_rollout.errors import RolloutError
    from lwd_rollout.pool import load, verify
    from lwd_rollout.pool_figure import draw
    from lwd_rollout.pool_plan import MIXTURE
    try:
        pool = load(options.folder)
        wrong = verify(pool) if options.verify else []
    except RolloutError as error:
        raise BringupError(str(error)) from error
    table = Table('task', *MIXTURE, 'hours', 'episodes', box=None)
    for name in pool.plan.task_names:
        entries = [entry for entry in pool.entries if entry.task == name]
        counts = [sum(entry.kind == kind for entry in entries) for kind in MIXTURE]
        hours = sum(entry.steps for entry in entries) / 30.0 / 3600.0
        table.add_row(name, *map(str, counts), f'{hours:.2f}', str(len(entries)))
    shares = [f'{pool.hours(kind) / pool.hours():.1%}' for kind in MIXTURE]
    table.add_row('share of hours', *shares, f'{pool.hours():.2f}', str(len(pool.entries)))
    console.print(table)
    draw(pool, options.folder / 'pool.png')
    console.print(f'drawn to {options.folder / "pool.png"}', highlight=False)
    for line in wrong:
        console.print(f'[red]wrong:[/red] {line}', highlight=False)
    return 1 if wrong else 0
