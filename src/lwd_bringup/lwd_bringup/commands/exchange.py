# SPDX-License-Identifier: Apache-2.0
"""`lwd import` and `lwd export`: episodes from and to other formats."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from lwd_bringup.commands.shared import Commands
from lwd_bringup.errors import BringupError

if TYPE_CHECKING:
    from lwd_data.exchange.mapping import DataMapping
    from lwd_data.exchange.recording import Source

_LABELS = ('success', 'failure', 'timeout', 'none')
_DRIVERS = ('expert', 'teleop', 'policy')


def add(commands: Commands) -> None:
    """Add the commands."""
    bring = commands.add_parser('import', help='import recorded data into an offline pool')
    formats = bring.add_subparsers(required=True, metavar='FORMAT')

    agibot = formats.add_parser('agibot', help='AgiBot World: JSON, HDF5, videos')
    agibot.add_argument('folder', type=Path,
                        help='with task_info, proprio_stats and observations')
    agibot.add_argument('--tasks', default='', help='ids with commas between (default: all)')
    _takes_import(agibot)
    agibot.set_defaults(run=_import_agibot)

    lerobot = formats.add_parser('lerobot', help='a data set of LeRobot v3.0')
    lerobot.add_argument('folder', type=Path, help='with meta, data and videos')
    lerobot.add_argument('--name', default='', help="of the data set (default: the folder's)")
    _takes_import(lerobot)
    lerobot.set_defaults(run=_import_lerobot)

    mapping = formats.add_parser('mapping', help='show a shipped mapping, to write one from')
    mapping.add_argument('name', nargs='?', default='', help='which (default: list them)')
    mapping.set_defaults(run=_show_mapping)

    send = commands.add_parser('export', help='export episodes for other software')
    targets = send.add_subparsers(required=True, metavar='FORMAT')
    out = targets.add_parser('lerobot', help='a data set of LeRobot v3.0')
    out.add_argument('episodes', type=Path,
                     help='a folder of episodes: a pool, a run, a spool, a store')
    out.add_argument('out', type=Path, help='the data set; made by this command')
    out.add_argument('--images', choices=('video', 'jpeg', 'none'), default='video',
                     help='videos (default), the recorded JPEGs as they are, or none')
    out.add_argument('--codec', choices=('h264',), default='h264',
                     help='of videos (default: h264)')
    out.add_argument('--tasks', default='', help='names with commas between (default: all)')
    out.add_argument('--episodes', type=int, default=0, dest='most', help='at most (default: all)')
    out.set_defaults(run=_export)


def _takes_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--pool', type=Path, required=True,
                        help='where to; an interrupted import there is gone on with')
    parser.add_argument('--mapping', default='',
                        help='what the fields mean: a .yaml, or the name of a shipped one; see '
                             '`lwd import mapping` (default: the shipped one that fits)')
    parser.add_argument('--cameras', default=None,
                        help="ours, with commas between; '' for none (default: those of the "
                             'mapping)')
    parser.add_argument('--image-size', type=int, default=None,
                        help='width and height, pixels; 0 leaves images as they are (default: '
                             "the mapping's)")
    parser.add_argument('--label', choices=_LABELS, default=None,
                        help="of episodes that do not say so themselves (default: the mapping's, "
                             'success)')
    parser.add_argument('--source', choices=_DRIVERS, default=None,
                        help="who was in control (default: the mapping's, expert)")
    parser.add_argument('--episodes', type=int, default=0, help='the first so many (default: all)')


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(',') if name)


def _import_agibot(options: argparse.Namespace, console: Console) -> int:
    from lwd_data.exchange.agibot import AgibotSource
    from lwd_data.exchange.mapping_file import find

    def source() -> Source:
        return AgibotSource(
            options.folder, _changed(find(options.mapping or 'agibot-world'), options),
            cameras=_cameras(options), tasks=_names(options.tasks))

    return _import(source, options, console)


def _import_lerobot(options: argparse.Namespace, console: Console) -> int:
    from lwd_data.exchange.lerobot_choice import choose
    from lwd_data.exchange.lerobot_source import LerobotSource
    from lwd_data.exchange.mapping_file import find

    def source() -> Source:
        mapping = find(options.mapping) if options.mapping else choose(options.folder)
        console.print(f'mapping: {mapping.name}', highlight=False)
        return LerobotSource(options.folder, _changed(mapping, options),
                             cameras=_cameras(options), name=options.name)

    return _import(source, options, console)


def _cameras(options: argparse.Namespace) -> tuple[str, ...] | None:
    return None if options.cameras is None else _names(options.cameras)


def _changed(mapping: DataMapping, options: argparse.Namespace) -> DataMapping:
    """Return a mapping with what the command line says otherwise."""
    if options.image_size is not None and options.image_size < 0:
        raise BringupError(f'--image-size is {options.image_size}; it must be 0 or more')
    changes = {name: getattr(options, name) for name in ('label', 'source', 'image_size')
               if getattr(options, name) is not None}
    return replace(mapping, **changes)


def _import(make: Callable[[], Source], options: argparse.Namespace, console: Console) -> int:
    from lwd_data.errors import DataError
    from lwd_rollout.errors import RolloutError
    from lwd_rollout.pool_import import import_into
    try:
        source = make()
        with _bar(console) as bar:
            shown = bar.add_task('importing', total=None)
            done = import_into(
                options.pool, source, most=options.episodes,
                progress=lambda at, of: bar.update(shown, completed=at, total=of))
    except (DataError, RolloutError) as error:
        raise BringupError(str(error)) from error
    for text in done.refused:
        console.print(f'[yellow]refused:[/yellow] {text}', highlight=False, soft_wrap=True)
    absent = getattr(source, 'absent', 0)
    console.print(
        f'{done.new} episodes imported, {done.known} were there, {len(done.refused)} refused'
        f'{f", {absent} listed but not on disk" if absent else ""}; {len(done.pool.entries)} '
        f'episodes, {done.pool.hours():.2f} h, in {options.pool}', highlight=False)
    return 1 if done.refused else 0


def _show_mapping(options: argparse.Namespace, console: Console) -> int:
    from lwd_data.errors import DataError
    from lwd_data.exchange import mapping_file
    try:
        if options.name:
            mapping_file.find(options.name)
            text = mapping_file.shipped()[options.name].read_text(encoding='utf-8')
        else:
            text = '\n'.join(
                f'{name}: {path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")}'
                for name, path in mapping_file.shipped().items())
    except DataError as error:
        raise BringupError(str(error)) from error
    console.print(text, highlight=False, soft_wrap=True, markup=False)
    return 0


def _export(options: argparse.Namespace, console: Console) -> int:
    from lwd_data.errors import DataError
    from lwd_data.exchange.lerobot_export import export
    try:
        with _bar(console) as bar:
            shown = bar.add_task('exporting', total=None)
            done = export(
                options.episodes, options.out, images=options.images, codec=options.codec,
                tasks=_names(options.tasks), most=options.most,
                progress=lambda at, of: bar.update(shown, completed=at, total=of))
    except DataError as error:
        raise BringupError(str(error)) from error
    console.print(
        f'{done.episodes} episodes, {done.frames} frames, {", ".join(done.features)}, in '
        f'{options.out}', highlight=False, soft_wrap=True)
    for text in done.left_out:
        console.print(f'[yellow]left out:[/yellow] {text}', highlight=False, soft_wrap=True)
    return 0


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn('{task.description}'), BarColumn(), TextColumn('{task.completed}/{task.total}'),
        TimeElapsedColumn(), TimeRemainingColumn(), console=console)
