# SPDX-License-Identifier: Apache-2.0
"""What several commands take as arguments."""

from __future__ import annotations

import argparse
import time
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from rich.console import Console

from lwd_bringup.config import CONFIGS, Machine, load, parse_value
from lwd_bringup.errors import ConfigError

# argparse has no public name for what add_subparsers returns.
Commands: TypeAlias = 'argparse._SubParsersAction[argparse.ArgumentParser]'  # noqa: SLF001

ROBOT_HELP = "the robot's namespace, such as g1_01"
_CONFIG_HELP = f'{" or ".join(CONFIGS)}, or a path to a YAML file like them'
_SETTING_HELP = "KEY=VALUE settings that replace the file's, for example driver.mode=lockstep"


def takes_config(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """Let a command take a configuration and settings."""
    parser.add_argument('config', nargs='?' if optional else None, help=_CONFIG_HELP)
    takes_settings(parser)


def takes_settings(parser: argparse.ArgumentParser) -> None:
    """Let a command take settings."""
    parser.add_argument('settings', nargs='*', metavar='KEY=VALUE', help=_SETTING_HELP)


def takes_domain(parser: argparse.ArgumentParser) -> None:
    """Let a command say where robots are, and how long to wait for them."""
    parser.add_argument('--domain', type=int, help='ROS domain (default: ROS_DOMAIN_ID, or 0)')
    parser.add_argument('--wait', type=float, default=5.0,
                        help='how long robots may take to answer, s (default: 5)')


def loaded(options: argparse.Namespace) -> Machine:
    """Return the configuration that the arguments name."""
    return load(options.config, settings(options.settings))


def settings(words: Sequence[str]) -> dict[str, Any]:
    """Return KEY=VALUE words as settings.

    Raises:
        ConfigError: A word is none.
    """
    found = {}
    for word in words:
        key, equals, value = word.partition('=')
        if not equals or not key:
            raise ConfigError(
                f'{word!r} is no setting; write KEY=VALUE, as in driver.mode=lockstep')
        found[key] = parse_value(value)
    return found


def run_folder(options: argparse.Namespace, name: str) -> Path:
    """Return where results go: --dir, or a new folder in runs/."""
    folder = options.dir or Path('runs') / f'{name}-{time.strftime("%Y%m%d-%H%M%S")}'
    return Path(folder).absolute()


def show(page: Path, console: Console) -> None:
    """Open a page in the browser, where there is one to be seen."""
    if not webbrowser.open(page.as_uri()):
        console.print('no browser was found here, or no display; open the file elsewhere',
                      highlight=False)
