# SPDX-License-Identifier: Apache-2.0
"""The `lwd` command."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console
from rich.table import Table

from g1_description.joints import COMMAND_JOINTS
from lwd_bringup import doctor
from lwd_bringup.config import CONFIGS, Bringup, find_config, load, parse_value
from lwd_bringup.errors import BringupError, ConfigError

_CONFIG_HELP = f'{" or ".join(CONFIGS)}, or a path to a YAML file like them'
_SETTING_HELP = "KEY=VALUE settings that replace the file's, for example driver.mode=lockstep"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0, 1 for a finding, 2 for bad input."""
    console = Console()
    options = _parser().parse_args(arguments)

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        status: int = options.run(options, console)
    except BringupError as error:
        console.print(f'[red]error:[/red] {error}', highlight=False)
        return 2
    except KeyboardInterrupt:
        console.print('stopped')
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='lwd', description='A fleet of Agibot G1 robots that learns while it is deployed.')
    commands = parser.add_subparsers(required=True, metavar='COMMAND')

    up = commands.add_parser('up', help='start the nodes of a configuration, until Ctrl-C')
    up.add_argument('config', help=_CONFIG_HELP)
    up.add_argument('settings', nargs='*', metavar='KEY=VALUE', help=_SETTING_HELP)
    up.add_argument('--dir', type=Path, help='where logs go (default: runs/<config>-<time>)')
    up.set_defaults(run=_up)

    nodes = commands.add_parser('nodes', help='list the nodes that `up` would start')
    nodes.add_argument('config', help=_CONFIG_HELP)
    nodes.add_argument('settings', nargs='*', metavar='KEY=VALUE', help=_SETTING_HELP)
    nodes.set_defaults(run=_nodes)

    config = commands.add_parser('config', help='describe every setting and its value')
    config.add_argument('config', help=_CONFIG_HELP)
    config.add_argument('settings', nargs='*', metavar='KEY=VALUE', help=_SETTING_HELP)
    config.set_defaults(run=_config)

    demo = commands.add_parser('demo', help='a simulated G1, driven by the scripted expert')
    demo.add_argument('settings', nargs='*', metavar='KEY=VALUE', help=_SETTING_HELP)
    demo.add_argument('--episodes', type=int, default=10, help='how many (default: 10)')
    demo.add_argument('--seed', type=int, default=0, help='of the first scene (default: 0)')
    demo.add_argument('--dir', type=Path, help='where results go (default: runs/demo-<time>)')
    demo.set_defaults(run=_demo)

    tasks = commands.add_parser('tasks', help='list the simulated tasks')
    tasks.set_defaults(run=_tasks)

    layout = commands.add_parser('layout', help='list the joints of a command, in their order')
    layout.set_defaults(run=_layout)

    check = commands.add_parser('doctor', help='say what is missing on this machine')
    check.set_defaults(run=_doctor)
    return parser


def _loaded(options: argparse.Namespace) -> Bringup:
    return load(options.config, _settings(options.settings))


def _settings(words: Sequence[str]) -> dict[str, Any]:
    settings = {}
    for word in words:
        key, equals, value = word.partition('=')
        if not equals or not key:
            raise ConfigError(
                f'{word!r} is no setting; write KEY=VALUE, as in driver.mode=lockstep')
        settings[key] = parse_value(value)
    return settings


def _folder(options: argparse.Namespace, name: str) -> Path:
    folder = options.dir or Path('runs') / f'{name}-{time.strftime("%Y%m%d-%H%M%S")}'
    return Path(folder).absolute()


def _up(options: argparse.Namespace, console: Console) -> int:
    from lwd_bringup.nodes import environment, plan
    from lwd_bringup.supervise import Supervised
    config = _loaded(options)
    folder = _folder(options, Path(options.config).stem)
    supervised = Supervised(
        plan(config), folder, environment=environment(config), log_level=config.log_level)
    console.print(f'domain {config.domain}; logs in {folder}/logs; Ctrl-C stops', highlight=False)
    with supervised.running():
        supervised.wait(lambda line: console.print(line, highlight=False))
    return 0


def _nodes(options: argparse.Namespace, console: Console) -> int:
    from lwd_bringup.nodes import environment, plan
    config = _loaded(options)
    for name, value in environment(config).items():
        console.print(f'{name}={value}', highlight=False)
    for spec in plan(config):
        console.print(f'{spec.namespace}/{spec.name}: {spec.package} {spec.executable}',
                      highlight=False)
    return 0


def _config(options: argparse.Namespace, console: Console) -> int:
    from lwd_ros.parameters import leaves
    config = _loaded(options)
    console.print(str(find_config(options.config)), highlight=False)
    table = Table('setting', 'value', 'meaning', box=None)
    for name, field, _, text in leaves(Bringup):
        value: Any = config
        for part in name.split('.'):
            value = getattr(value, part)
        choices = field.metadata.get('choices')
        limits = field.metadata.get('range')
        note = f' One of: {", ".join(choices)}.' if choices else ''
        note += f' From {limits[0]} to {limits[1]}.' if limits else ''
        shown = ', '.join(value) if isinstance(value, tuple) else str(value)
        table.add_row(name, shown, text + note)
    console.print(table)
    return 0


def _demo(options: argparse.Namespace, console: Console) -> int:
    from lwd_bringup import demo
    if options.episodes < 1:
        raise ConfigError(f'--episodes is {options.episodes}; it must be at least 1')
    folder = _folder(options, 'demo')
    summary = demo.run(
        folder, episodes=options.episodes, seed=options.seed,
        overrides=_settings(options.settings), console=console)
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


if __name__ == '__main__':
    sys.exit(main())
