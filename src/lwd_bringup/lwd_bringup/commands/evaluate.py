# SPDX-License-Identifier: Apache-2.0
"""`lwd eval`: how well a controller does, with intervals."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from lwd_bringup.commands.shared import Commands, run_folder
from lwd_bringup.errors import BringupError


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser('eval', help='evaluate a controller on simulated tasks')
    command.add_argument('controller', nargs='?', default='expert',
                         help='expert (default), flawed:SEVERITY, or the folder of a policy')
    command.add_argument('--tasks', default='', help='names with commas between (default: all)')
    command.add_argument('--distributions', default='train,deploy',
                         help='with commas between (default: train,deploy)')
    command.add_argument('--phrases', choices=('train', 'held-out'), default='train',
                         help='instructions as in training (default), or worded otherwise')
    command.add_argument('--episodes', type=int, default=100,
                         help='of each task and distribution (default: 100)')
    command.add_argument('--split', default='tune',
                         help='seeds: tune (default) to choose settings, test for results')
    command.add_argument('--first-seed', type=int, default=0, help='within the split (default: 0)')
    command.add_argument('--noise', type=float, default=1.0,
                         help="of a policy: scale of its flow's initial noise (default: 1)")
    command.add_argument('--best-of', type=int, default=1,
                         help='of a policy: chunks among which its critic chooses (default: 1)')
    command.add_argument('--processes', type=int, default=0, help='default: one a core')
    command.add_argument('--dir', type=Path, help='where results go (default: runs/eval-<time>)')
    command.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace, console: Console) -> int:
    from lwd_rollout.errors import RolloutError
    from lwd_rollout.evaluate import EvaluationPlan, as_json, evaluate
    folder = run_folder(options, 'eval')
    try:
        plan = EvaluationPlan(
            controller=options.controller,
            tasks=tuple(name for name in options.tasks.split(',') if name),
            distributions=tuple(options.distributions.split(',')),
            phrasing=options.phrases.replace('-', '_'),
            episodes=options.episodes, split=options.split, first_seed=options.first_seed,
            noise=options.noise, best_of=options.best_of)
        with Progress(
            TextColumn('{task.description}'), BarColumn(),
            TextColumn('{task.completed}/{task.total}'), TimeElapsedColumn(),
            TimeRemainingColumn(), console=console,
        ) as bar:
            shown = bar.add_task('episodes', total=None)
            rows = evaluate(
                plan, folder, processes=options.processes,
                progress=lambda done, total, _: bar.update(shown, completed=done, total=total))
    except RolloutError as error:
        raise BringupError(str(error)) from error
    table = Table('task', 'distribution', 'episodes', 'success (95 %)', 'score (95 %)',
                  'cycle, s', 'clipped', box=None)
    for row in rows:
        table.add_row(
            row.task, row.distribution, str(row.episodes),
            f'{row.success:.2f} ({row.success_low:.2f}-{row.success_high:.2f})',
            f'{row.score:.2f} ({row.score_low:.2f}-{row.score_high:.2f})',
            f'{row.seconds:.1f}', f'{row.clipped:.1%}')
    console.print(table)
    (folder / 'evaluation.json').write_text(
        json.dumps(as_json(plan, rows), indent=1) + '\n', encoding='utf-8')
    console.print(f'filmstrips and evaluation.json in {folder}', highlight=False)
    return 0
