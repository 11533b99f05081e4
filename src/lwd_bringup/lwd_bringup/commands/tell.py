# SPDX-License-Identifier: Apache-2.0
"""Commands that only tell: nodes, config, tasks, layout, doctor."""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Console
from rich.table import Table

from g1_description.joints import COMMAND_JOINTS
from lwd_bringup import doctor
from lwd_bringup.commands.shared import Commands, loaded, takes_config
from lwd_bringup.config import find_config


def add(commands: Commands) -> None:
    """Add the commands."""
    nodes = commands.add_parser('nodes', help='list the nodes that `up` would start')
    takes_config(nodes)
    nodes.set_defaults(run=_nodes)

    config = commands.add_parser('config', help='describe every setting and its value')
    takes_config(config)
    config.set_defaults(run=_config)

    tasks = commands.add_parser('tasks', help='list the simulated tasks')
    tasks.set_defaults(run=_tasks)

    layout = commands.add_parser('layout', help='list the joints of a command, in their order')
    layout.set_defaults(run=_layout)

    check = commands.add_parser('doctor', help='say what is missing on this machine')
    check.set_defaults(run=_doctor)


def _nodes(options: argparse.Namespace, console: Console) -> int:
    from lwd_bringup.nodes import environment, plan
    config = loaded(options)
    for name, value in environment(config).items():
        console.print(f'{name}={value}', highlight=False)
    for spec in plan(config):
        console.print(f'{spec.namespace}/{spec.name}: {spec.package} {spec.executable}',
                      highlight=False)
    return 0


def _config(options: argparse.Namespace, console: Console) -> int:
    from lwd_ros.parameters import leaves
    config = loaded(options)
    console.print(str(find_config(options.config)), highlight=False)
    table = Table('setting', 'value', 'meaning', box=None)
    for name, field, _, text in leaves(type(config)):
        value: Any = config
        for part in name.split('.'):
            value = getattr(value, part)
        choices = field.metadata.get('choices')
        limits = field.metadata.get('range')
        note = f' One of: {", ".join(choices)}.' if choices else ''
        note += f' From {limits[0]} to {limits[1]}.' if limits else ''
        shown = ', '.join(map(str, value)) if isinstance(value, tuple) else str(value)
        table.add_row(name, shown, text + note)
    console.print(table)
    return 0


def _tasks(_: argparse.Namespace, console: Console) -> int:
    from g1_sim.tasks import TASKS
    table = Table('task', 'limit', 'subtasks', 'what', box=None)
    for task in TASKS.values():
        what = (type(task).__doc__ or '').splitlines()[0]
        table.add_row(task.name, f'{task.time_limit:g} s', ', '.join(task.subtasks), what)
    console.print(table)
    return 0


def _layout(_: argparse.Namespace, console: Console) -> int:
    table = Table('place', 'joint', 'lower', 'upper', 'velocity', box=None)
    for i, joint in enumerate(COMMAND_JOINTS):
        table.add_row(str(i), joint.name, f'{joint.lower:g}', f'{joint.upper:g}',
                      f'{joint.velocity:g}')
    console.print(table)
    return 0


def _doctor(_: argparse.Namespace, console: Console) -> int:
    findings = doctor.examine()
    table = Table('', 'what', 'found', 'remedy', box=None)
    marks = {'ok': '[green]ok[/green]', 'note': '[yellow]note[/yellow]',
             'missing': '[red]missing[/red]'}
    for finding in findings:
        remedy = '' if finding.status == 'ok' else finding.remedy
        table.add_row(marks[finding.status], finding.what, finding.detail, remedy)
    console.print(table)
    return 1 if any(finding.status == 'missing' for finding in findings) else 0
