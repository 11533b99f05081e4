# SPDX-License-Identifier: Apache-2.0
"""`lwd card`: what a policy is, and what it was trained on."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lwd_bringup.commands.shared import Commands
from lwd_bringup.errors import BringupError


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser('card', help='say what a policy is and what it was trained on')
    command.add_argument('policy', type=Path, help='the folder of a policy')
    command.set_defaults(run=_card)


def _card(options: argparse.Namespace, console: Console) -> int:
    from lwd_policy.errors import PolicyError
    from lwd_policy.store import load_policy
    try:
        policy, runtime, card = load_policy(options.policy)
    except PolicyError as error:
        raise BringupError(str(error)) from error
    count = sum(parameter.numel() for parameter in policy.parameters())
    expert = sum(parameter.numel() for parameter in policy.expert.parameters())
    config = policy.config
    sees = (f'joints, instruction, scene features {config.scene_layout}'
            if config.observation == 'scene' else
            f'joints, instruction, {", ".join(config.cameras)} at {config.image_size} px')
    table = Table(show_header=False, box=None)
    for name, value in (
            ('name', card.name), ('version', card.version), ('parent', card.parent or 'none'),
            ('algorithm', card.algorithm), ('snapshot', card.snapshot or 'none'),
            ('seed', str(card.seed)), ('created', card.created), ('command', card.command),
            ('sees', sees),
            ('acts', f'chunks of {config.horizon} steps for {len(card.layout.joints)} joints, '
                     f'{config.coefficients} cosines each, arms {config.arms}'),
            ('used with', ', '.join(f'{key}={value}' for key, value in vars(runtime).items())),
            ('parameters', f'{count / 1e6:.2f} M, the action expert {expert / 1e6:.2f} M of them'),
            *((f'  {key}', f'{value:g}') for key, value in card.metrics.items()),
            ('notes', card.notes)):
        if value:
            table.add_row(f'[bold]{name}[/bold]', value)
    console.print(table)
    return 0
