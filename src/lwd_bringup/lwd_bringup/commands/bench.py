# SPDX-License-Identifier: Apache-2.0
"""`lwd bench`: the comparison of methods, and how learning scales with the fleet."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from lwd_bringup.commands.shared import Commands, settings
from lwd_bringup.config import config_folders
from lwd_bringup.errors import BringupError

if TYPE_CHECKING:
    from lwd_rollout.table.extension import Extension
    from lwd_rollout.table.layout import Layout


def add(commands: Commands) -> None:
    """Add the commands."""
    bench = commands.add_parser(
        'bench', help="compare methods in simulation, as the paper's table does")
    actions = bench.add_subparsers(required=True, metavar='WHAT')

    table = actions.add_parser(
        'table', help='train and test every method, or go on with it; see docs/results.md')
    table.add_argument('protocol', nargs='?', default='table',
                       help='a name in config/ (default: table), or a path to a YAML file like it')
    table.add_argument('--quick', action='store_true',
                       help='the protocol table_quick: four tasks, one seed, an evening')
    table.add_argument('--set', nargs='+', default=[], metavar='KEY=VALUE', dest='settings',
                       help="replace the file's settings: another protocol, and another folder")
    table.add_argument('--dir', type=Path,
                       help='of the comparison (default: runs/<name of the protocol>); one that '
                            'is there is gone on with')
    table.add_argument('--more-seeds', type=int, default=0, metavar='N',
                       help='go on to N training seeds, all together, with the same protocol; the '
                            'report says that they were added')
    table.add_argument('--methods', default='',
                       help='which methods have the added seeds, with commas between (default: '
                            'all)')
    table.add_argument('--pool', type=Path, help='offline episodes that are there already')
    table.add_argument('--processes', type=int, default=0, help='default: one a core')
    table.add_argument('--plan', action='store_true',
                       help='only list what is to be done, and about how long it takes')
    table.add_argument('--report', action='store_true',
                       help='only write the table of what is there')
    table.set_defaults(run=_table)

    scaling = actions.add_parser(
        'scaling', help='episodes and time that fleets of several sizes need; begins from cells '
                        'of a table that was trained')
    scaling.add_argument('folder', type=Path, help='of the comparison')
    scaling.add_argument('--robots', default='1,2,4,8,16',
                         help='sizes with commas between (default: 1,2,4,8,16)')
    scaling.add_argument('--set', nargs='+', default=[], metavar='KEY=VALUE', dest='settings',
                         help='for example target=0.7 update_seconds=0.05')
    scaling.add_argument('--processes', type=int, default=0, help='default: one a core')
    scaling.set_defaults(run=_scaling)


def find_protocol(name: str) -> Path:
    """Return the file of a protocol: a path, or the name of one that comes with LWD.

    Raises:
        BringupError: There is none.
    """
    path = Path(name)
    if path.suffix in ('.yaml', '.yml'):
        return path
    for folder in config_folders():
        if (folder / f'{name}.yaml').is_file():
            return folder / f'{name}.yaml'
    raise BringupError(f'there is no protocol {name!r}; the shipped ones are table and '
                       'table_quick, others are given as a path to a .yaml')


def _table(options: argparse.Namespace, console: Console) -> int:
    from lwd_data.errors import DataError
    from lwd_rollout.errors import RolloutError
    from lwd_rollout.table.extension import Extension
    from lwd_rollout.table.layout import Layout
    from lwd_rollout.table.protocol import load
    if options.processes < 0:
        raise BringupError(f'--processes is {options.processes}; 0 takes one a core')
    if options.methods and not options.more_seeds:
        raise BringupError('--methods says which methods have added seeds: give --more-seeds, '
                           'too; for another comparison use --set methods=[...]')
    name = 'table_quick' if options.quick else options.protocol
    try:
        protocol = load(find_protocol(name), settings(options.settings))
        folder = options.dir or Path('runs') / protocol.name
        pool = None if options.pool is None else options.pool.absolute()
        layout = Layout(Path(folder).absolute(), protocol, pool)
        added = layout.added
        if options.more_seeds:
            before, added = added, Extension(options.more_seeds, tuple(
                name for name in options.methods.split(',') if name))
            added.check(protocol, before)
        if options.plan:
            return _plan(layout, added, options.processes, console)
        layout.freeze()
        layout.extend(added)
        if options.report:
            return _report(layout, console)
        return _run(layout, options.processes, console)
    except (DataError, RolloutError) as error:
        raise BringupError(str(error)) from error


def _run(layout: Layout, processes: int, console: Console) -> int:
    from lwd_rollout.table.schedule import run
    failures = run(layout, processes=processes,
                   say=lambda text: console.print(text, highlight=False, markup=False))
    for name, why in failures.items():
        console.print(f'not done: {name}: {why}', highlight=False, markup=False)
    return max(_report(layout, console), 1 if failures else 0)


def _report(layout: Layout, console: Console) -> int:
    from lwd_rollout.table.output import FIGURE, RESULTS, TABLE, write
    found = write(layout)
    for variant, methods in found['variants'].items():
        for one in methods.values():
            mean = one['mean']
            console.print(
                f'{variant}: {one["title"]}: {mean["mean"]:.3f} ({mean["low"]:.3f} to '
                f'{mean["high"]:.3f})', highlight=False, markup=False)
    console.print(f'{TABLE}, {FIGURE} and {RESULTS} in {layout.folder}', highlight=False)
    return 0


def _plan(layout: Layout, added: Extension, processes: int, console: Console) -> int:
    import os

    from lwd_rollout.table.estimate import Estimate, in_words
    from lwd_rollout.table.graph import jobs
    from lwd_rollout.table.schedule import is_done
    processes = processes or os.cpu_count() or 1
    estimate = Estimate(layout.folder / 'seconds.json')
    waiting = [job for job in jobs(layout.protocol, added) if not is_done(layout, job)]
    for job in waiting:
        console.print(f'{job.name}: {in_words(estimate.seconds(job))}', highlight=False)
    left = in_words(estimate.left(waiting, processes))
    console.print(f'{len(waiting)} jobs, about {left} with {processes} processes; protocol '
                  f'{layout.sha256[:12]}', highlight=False)
    return 0


def _scaling(options: argparse.Namespace, console: Console) -> int:
    from lwd_data.errors import DataError
    from lwd_learner.errors import LearnerError
    from lwd_policy.errors import PolicyError
    from lwd_rollout.errors import RolloutError
    from lwd_rollout.table import layout, scaling, scaling_report
    from lwd_ros.errors import ParameterError
    from lwd_ros.parameters import build
    try:
        robots = [int(text) for text in options.robots.split(',')]
    except ValueError as error:
        raise BringupError(
            f'--robots is {options.robots!r}; give numbers with commas between') from error
    try:
        place = layout.opened(options.folder.absolute())
        plan = build(scaling.ScalingPlan, {
            **settings(options.settings), 'robots': robots}, where='--set')
        with place.locked():
            fleets = scaling.scale_all(
                place, plan, processes=options.processes,
                say=lambda text: console.print(text, highlight=False, markup=False))
        folder = place.folder / 'scaling'
        text = scaling_report.markdown(fleets)
        (folder / 'scaling.md').write_text(text, encoding='utf-8')
        scaling_report.draw(fleets, folder / 'scaling.png')
    except (DataError, LearnerError, ParameterError, PolicyError, RolloutError) as error:
        raise BringupError(str(error)) from error
    console.print(text, highlight=False, markup=False)
    console.print(f'scaling.md and scaling.png in {folder}', highlight=False)
    return 0
