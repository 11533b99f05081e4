# SPDX-License-Identifier: Apache-2.0
"""`lwd keys`: the pair of keys that policies are signed and checked with."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from lwd_bringup.commands.shared import Commands
from lwd_bringup.errors import BringupError


def add(commands: Commands) -> None:
    """Add the command."""
    keys = commands.add_parser('keys', help='make keys to sign policies with')
    actions = keys.add_subparsers(required=True, metavar='ACTION')
    new = actions.add_parser('new', help='make a pair of keys')
    new.add_argument('folder', type=Path, help='where; NAME.key and NAME.pub are written there')
    new.add_argument('--name', default='learner', help='of the key (default: learner)')
    new.set_defaults(run=_new)


def _new(options: argparse.Namespace, console: Console) -> int:
    from lwd_policy.errors import PolicyError
    from lwd_policy.signature import new_keys
    try:
        private, public = new_keys(options.folder, options.name)
    except PolicyError as error:
        raise BringupError(str(error)) from error
    console.print(f'{private}: for the publisher (signing_key); keep it to yourself',
                  highlight=False)
    console.print(f'{public}: for every robot (keys)', highlight=False)
    return 0
