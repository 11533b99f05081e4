# SPDX-License-Identifier: Apache-2.0
"""The command that shows a recorded episode."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from lwd_bringup.commands.shared import Commands, show
from lwd_bringup.errors import ConfigError


def add(commands: Commands) -> None:
    """Add the command."""
    view = commands.add_parser('view', help='show a recorded episode in a browser')
    view.add_argument('episode', type=Path, help='its folder')
    view.add_argument('--out', type=Path, help='the page (default: <episode>.html, here)')
    view.add_argument('--max-mb', type=float, default=40.0,
                      help='of images; of longer episodes fewer are shown (default: 40)')
    view.add_argument('--open', action='store_true', help='open it in the browser')
    view.set_defaults(run=_view)


def _view(options: argparse.Namespace, console: Console) -> int:
    from lwd_bringup.view import page
    if not options.max_mb > 0.0:
        raise ConfigError(f'--max-mb is {options.max_mb}; it must be above 0')
    folder = options.episode.absolute()
    file = (options.out or Path(f'{folder.name}.html')).absolute()
    page.write(folder, file, limit_bytes=max(1, round(options.max_mb * 1e6)))
    console.print(str(file), highlight=False, soft_wrap=True)
    if options.open:
        show(file, console)
    return 0
