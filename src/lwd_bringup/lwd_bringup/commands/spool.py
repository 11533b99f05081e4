# SPDX-License-Identifier: Apache-2.0
"""`lwd spool`: what a robot still has to upload."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lwd_bringup.commands.shared import Commands
from lwd_bringup.errors import BringupError

_MB = 1e6


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser('spool', help='show what waits to be uploaded')
    command.add_argument('folder', type=Path, help='the spool that recorders write to')
    command.add_argument('--robot', default='', help='only this one (default: all)')
    command.set_defaults(run=_spool)


def _spool(options: argparse.Namespace, console: Console) -> int:
    from lwd_learner_bridge.errors import SpoolError
    from lwd_learner_bridge.upload.backlog import backlogs
    if not options.folder.is_dir():
        raise BringupError(f'{options.folder} is no spool: there is no such folder')
    try:
        found = backlogs(options.folder, options.robot)
    except SpoolError as error:
        raise BringupError(str(error)) from error
    table = Table(
        'robot', 'episodes', 'to upload', 'MB', 'to confirm', 'MB', 'confirmed', 'MB',
        'quarantined', box=None)
    for one in found:
        waiting, uploaded, registered, quarantined = (
            one.count[state] for state in ('waiting', 'uploaded', 'registered', 'quarantined'))
        table.add_row(
            one.robot, str(one.episodes), str(waiting), f'{one.size["waiting"] / _MB:.1f}',
            str(uploaded), f'{one.size["uploaded"] / _MB:.1f}', str(registered),
            f'{one.size["registered"] / _MB:.1f}', str(quarantined))
    console.print(table)
    for one in found:
        for text in one.problems:
            console.print(f'[red]{one.robot}:[/red] {text}', highlight=False)
    return 1 if any(one.problems for one in found) else 0
