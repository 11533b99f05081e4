# SPDX-License-Identifier: Apache-2.0
"""`lwd demo`: a simulated fleet that learns while it is deployed; `lwd report`: what it did."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from lwd_bringup.commands.shared import (
    Commands,
    run_folder,
    settings,
    show,
    takes_settings,
)
from lwd_bringup.errors import BringupError

if TYPE_CHECKING:
    from lwd_bringup.loop.plan import LoopPlan


def add(commands: Commands) -> None:
    """Add the command."""
    from lwd_bringup.loop.plan import LoopPlan
    plan = LoopPlan()
    demo = commands.add_parser(
        'demo', help='simulated robots that deploy a policy, and a learner that improves it')
    takes_settings(demo)
    demo.add_argument('--robots', type=int, default=plan.robots,
                      help=f'how many (default: {plan.robots})')
    demo.add_argument('--minutes', type=float, default=plan.minutes,
                      help=f'how long they deploy and learn (default: {plan.minutes:g})')
    demo.add_argument('--tasks', default=','.join(plan.tasks),
                      help=f'names with commas between (default: {",".join(plan.tasks)})')
    demo.add_argument('--policy', default=plan.policy,
                      help=f'folder of the first policy (default: {plan.policy})')
    demo.add_argument('--episodes', type=int, default=plan.episodes,
                      help='of each task, before and after, to compare the first policy with the '
                           f'last (default: {plan.episodes})')
    demo.add_argument('--split', choices=('test', 'tune'), default=plan.split,
                      help='scenes of the comparison (default: test)')
    demo.add_argument('--pool-hours', type=float, default=plan.pool_hours,
                      help='of robot time, of offline episodes to learn from as well; 0 for none '
                           f'(default: {plan.pool_hours:g})')
    demo.add_argument('--seed', type=int, default=plan.seed,
                      help='of scenes and training (default: 0)')
    demo.add_argument('--port', type=int,
                      help='of the web page, on this machine only; 0 for any that is free '
                           '(default: 8765, or any if that is in use)')
    demo.add_argument('--resume', type=Path, metavar='RUN', help='go on with a run')
    demo.add_argument('--dir', type=Path, help='of the run (default: runs/demo-<time>)')
    demo.set_defaults(run=_demo)
    report = commands.add_parser('report', help='draw the report of a run of lwd demo again')
    report.add_argument('folder', type=Path, metavar='RUN', help='its folder, finished or not')
    report.add_argument('--out', type=Path, help='the page (default: report.html in the folder)')
    report.add_argument('--open', action='store_true', help='open it in the browser')
    report.set_defaults(run=_report)


def _demo(options: argparse.Namespace, console: Console) -> int:
    from lwd_bringup.domains import free_domain
    from lwd_bringup.loop import run
    from lwd_bringup.loop.folder import REPORT, SUMMARY
    from lwd_bringup.loop.plan import resumed
    from lwd_ros.signals import interrupted
    # Before anything is written: a run's folder is begun only if it can be gone on with.
    with _page(options.port, console) as page:
        domain = free_domain()
        if options.resume is not None:
            folder = Path(options.resume).absolute()
            plan = resumed(folder)
        else:
            folder = run_folder(options, 'demo')
            plan = _begin(folder, options, domain)
        try:
            summary = run.run(folder, plan, domain=domain, console=console, port=page)
        except BaseException as error:
            if interrupted(error):
                console.print(f'go on with: ./lwd demo --resume {folder}', highlight=False)
            raise
    found = summary['comparison']
    table = Table(box=None, show_header=False)
    table.add_row('first policy', _rate(found, 'first'))
    table.add_row('last policy', _rate(found, 'last'))
    table.add_row('difference', f'{found["gain"]:+.2f} (95 %: {found["gain_low"]:+.2f} .. '
                                f'{found["gain_high"]:+.2f}; McNemar p = {found["p_value"]:.3g})')
    for task, (before, after) in found['by_task'].items():
        table.add_row(f'  {task}', f'{before:.2f} -> {after:.2f}')
    table.add_row('episodes', f'{summary["episodes"]}, {summary["interventions"]} take-overs, '
                              f'{summary["control_steps"]} control steps')
    table.add_row('policies', f'{summary["policies"]} published; swaps: ' + ', '.join(
        f'{name} {count}' for name, count in summary['swaps'].items()))
    table.add_row('segments', f'{summary["segments_registered"]} in the store, '
                              f'{summary["segments_waiting"]} yet to upload, '
                              f'{summary["segments_lost"]} lost, '
                              f'{summary["segments_doubled"]} doubled')
    table.add_row('report', str(folder / REPORT))
    table.add_row('summary, logs', f'{folder / SUMMARY}, {folder / "logs"}')
    console.print(table)
    return 0


def _page(port: int | None, console: Console) -> socket.socket:
    """Take the port of the web page; without one that was asked for, any will do."""
    from lwd_bringup.loop.web import PORT, listening
    if port is not None:
        return listening(port)
    try:
        return listening(PORT)
    except BringupError:
        console.print(f'port {PORT} is in use, perhaps by another demo: the web page takes a free '
                      'one; choose it with --port', highlight=False)
        return listening(0)


def _begin(folder: Path, options: argparse.Namespace, domain: int) -> LoopPlan:
    from lwd_bringup.loop import run
    from lwd_bringup.loop.plan import LoopPlan, begin
    from lwd_bringup.prepare import lack_of_room
    if not (Path(options.policy) / 'card.json').is_file():
        raise BringupError(f'there is no policy in {options.policy}: no card.json')
    plan = LoopPlan(
        robots=options.robots, minutes=options.minutes,
        tasks=tuple(name for name in options.tasks.split(',') if name),
        policy=options.policy, seed=options.seed, episodes=options.episodes,
        split=options.split, pool_hours=options.pool_hours, settings=settings(options.settings))
    # Its settings are checked by this, too.
    if why := lack_of_room(run.fleet(folder, plan, domain)):
        raise BringupError(f'{why}, or choose another disk with --dir')
    return begin(folder, plan)


def _report(options: argparse.Namespace, console: Console) -> int:
    from lwd_bringup.loop import report
    place = report.write(options.folder, options.out).absolute()
    console.print(str(place), highlight=False, soft_wrap=True)
    if options.open:
        show(place, console)
    return 0


def _rate(found: dict[str, float], which: str) -> str:
    return (f'{found[which]:.2f} success on {found["episodes"]} held-out scenes '
            f'({found[which + "_low"]:.2f} .. {found[which + "_high"]:.2f})')
