# SPDX-License-Identifier: Apache-2.0
"""The `lwd` command."""

from __future__ import annotations

import argparse
import errno
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from rich.console import Console

from lwd_bringup.commands import (
    bench,
    card,
    catalog,
    episode,
    evaluate,
    exchange,
    keys,
    lineage,
    loop,
    plot,
    policy,
    pool,
    run,
    spool,
    tell,
    train,
    view,
)
from lwd_bringup.errors import BringupError
from lwd_ros.signals import interrupted

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
"""What a disk may refuse anywhere; nothing is wrong with the program then."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0, 1 for a finding, 2 for bad input."""
    console = Console()
    parser = argparse.ArgumentParser(
        prog='lwd', description='A fleet of Agibot G1 robots that learns while it is deployed.')
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    for group in (loop, run, episode, tell, pool, exchange, evaluate, train, bench, card, plot,
                  view, spool, catalog, keys, policy, lineage):
        group.add(commands)
    options = parser.parse_args(arguments)

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        status: int = options.run(options, console)
    except BaseException as error:
        if (failed := _failure(error, console)) is None:
            raise
        return failed
    return status


def _failure(error: BaseException, console: Console) -> int | None:
    """Say what went wrong; returns the exit status, or None for what nobody expected."""
    if interrupted(error):
        if not isinstance(error, KeyboardInterrupt):
            console.print(f'what was interrupted: {type(error).__name__}: {error}',
                          highlight=False, markup=False)
        console.print('stopped')
        return 130
    if isinstance(error, BringupError):
        console.print(f'[red]error:[/red] {error}', highlight=False)
        return 2
    if isinstance(error, OSError) and error.errno in _DISK:
        where = f' for {error.filename}' if error.filename else ''
        console.print(f'[red]error:[/red] {error.strerror}{where}; make room or choose another '
                      'place, then go on', highlight=False)
        return 2
    return None


if __name__ == '__main__':
    sys.exit(main())
