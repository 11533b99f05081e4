# SPDX-License-Identifier: Apache-2.0
"""`lwd policy`: which policies robots have and run; back to an earlier one, and keep it."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

from lwd_bringup.commands.shared import ROBOT_HELP, Commands, takes_domain
from lwd_bringup.errors import BringupError


def add(commands: Commands) -> None:
    """Add the commands."""
    policy = commands.add_parser('policy', help='list, roll back and pin the policies of robots')
    actions = policy.add_subparsers(required=True, metavar='ACTION')

    listing = actions.add_parser('list', help='list what every robot has and runs')
    takes_domain(listing)
    listing.set_defaults(run=_list)

    rollback = actions.add_parser('rollback', help='have a robot run an earlier policy')
    rollback.add_argument('robot', help=ROBOT_HELP)
    rollback.add_argument('version', nargs='?', default='',
                          help='or its first digits (default: the good one before)')
    rollback.add_argument('--pin', action='store_true', help='and keep to it')
    takes_domain(rollback)
    rollback.set_defaults(run=_roll_back)

    pin = actions.add_parser('pin', help='have a robot keep to a policy, whatever is published')
    pin.add_argument('robot', help=ROBOT_HELP)
    pin.add_argument('version', nargs='?', default='',
                     help='or its first digits (default: the one that runs)')
    takes_domain(pin)
    pin.set_defaults(run=_pin)

    unpin = actions.add_parser('unpin', help='have a robot follow new policies again')
    unpin.add_argument('robot', help=ROBOT_HELP)
    takes_domain(unpin)
    unpin.set_defaults(run=_unpin)


def _list(options: argparse.Namespace, console: Console) -> int:
    from lwd_bringup.robots import Robots
    with Robots(options.domain, options.wait) as robots:
        statuses = robots.statuses()
    if not statuses:
        raise BringupError(
            f'no robot was heard in {options.wait:g} s; is a receiver running, and is --domain '
            'right?')
    table = Table('robot', 'runs', 'coming', 'stored', 'inference p50, p99', 'last refusal',
                  box=None)
    for robot, status in sorted(statuses.items()):
        coming = status.pending_version[:12]
        if status.parts_total:
            coming += f' {status.parts_received}/{status.parts_total}'
        table.add_row(
            robot, (status.running_version[:12] or 'none') + (', pinned' if status.pinned else ''),
            coming, ' '.join(version[:12] for version in status.stored_versions),
            f'{1e3 * status.inference_seconds_p50:.0f}, '
            f'{1e3 * status.inference_seconds_p99:.0f} ms',
            f'{status.refused_version[:12]} {status.refused_reason}' if status.refused else '')
    console.print(table)
    return 0


def _choose(options: argparse.Namespace, console: Console, *, pin: bool, running: bool) -> int:
    from lwd_bringup.robots import Robots
    with Robots(options.domain, options.wait) as robots:
        version = robots.version(options.robot, options.version)
        if running and not version:
            version = robots.running(options.robot)
        console.print(robots.roll_back(options.robot, version, pin=pin), highlight=False)
    return 0


def _roll_back(options: argparse.Namespace, console: Console) -> int:
    return _choose(options, console, pin=options.pin, running=False)


def _pin(options: argparse.Namespace, console: Console) -> int:
    return _choose(options, console, pin=True, running=True)


def _unpin(options: argparse.Namespace, console: Console) -> int:
    from lwd_bringup.robots import Robots
    with Robots(options.domain, options.wait) as robots:
        console.print(robots.unpin(options.robot), highlight=False)
    return 0
