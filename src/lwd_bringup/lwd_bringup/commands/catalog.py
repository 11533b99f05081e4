# SPDX-License-Identifier: Apache-2.0
"""`lwd catalog`: the replay catalogue of a store."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from lwd_bringup.commands.shared import Commands
from lwd_bringup.errors import BringupError


def add(commands: Commands) -> None:
    """Add the commands."""
    catalog = commands.add_parser('catalog', help='make the replay catalogue again, or show it')
    actions = catalog.add_subparsers(required=True, metavar='ACTION')

    rebuild = actions.add_parser(
        'rebuild', help='make a lost or damaged catalogue again, to the same content; stop the '
                        'coordinator first')
    _takes_store(rebuild)
    rebuild.set_defaults(run=_rebuild)

    show = actions.add_parser('show', help='count what is there, and name what is in quarantine')
    _takes_store(show)
    show.set_defaults(run=_show)


def _takes_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('store', help='where robots upload to: a folder, or s3://bucket/prefix')
    parser.add_argument('--replay', default='',
                        help="the catalogue's folder (default: the store, if it is a folder)")


def _rebuild(options: argparse.Namespace, console: Console) -> int:
    from lwd_data.errors import DataError
    from lwd_data.replay.catalogue import Catalogue
    from lwd_learner_bridge.errors import BridgeError
    from lwd_learner_bridge.ingest.rebuild import rebuild, replay_folder
    from lwd_learner_bridge.store.objects import ObjectStore
    lost: list[str] = []
    try:
        objects = ObjectStore(options.store)
        folder = replay_folder(objects, options.replay)
        added = rebuild(objects, folder, lost.append)
        with Catalogue(folder) as catalogue:
            snapshot = catalogue.snapshot()
    except (BridgeError, DataError) as error:
        raise BringupError(str(error)) from error
    for text in lost:
        console.print(f'[red]wrong:[/red] {text}', highlight=False)
    episodes = snapshot.episodes()
    console.print(
        f'{len(episodes)} episodes, {sum(len(one.segments) for one in episodes)} segments, '
        f'{added} of them from the answers in the store; snapshot {snapshot.id[:12]}',
        highlight=False)
    return 1 if lost else 0


def _show(options: argparse.Namespace, console: Console) -> int:
    from lwd_data.errors import DataError
    from lwd_data.replay import database
    from lwd_data.replay.catalogue import Catalogue
    from lwd_learner_bridge.errors import BridgeError
    from lwd_learner_bridge.ingest.quarantine import quarantined
    from lwd_learner_bridge.ingest.rebuild import replay_folder
    from lwd_learner_bridge.store import names
    from lwd_learner_bridge.store.objects import ObjectStore
    try:
        objects = ObjectStore(options.store)
        folder = replay_folder(objects, options.replay)
        if not (Path(folder) / database.FILE).is_file():
            raise BringupError(
                f'{folder} has no catalogue; `lwd catalog rebuild` makes it from the store')
        with Catalogue(folder) as catalogue:
            snapshot = catalogue.snapshot()
        waiting, kept = objects.names(names.INBOX), quarantined(objects)
    except (BridgeError, DataError) as error:
        raise BringupError(str(error)) from error
    episodes = snapshot.episodes()
    console.print(
        f'{len(episodes)} episodes, {sum(len(one.segments) for one in episodes)} segments; '
        f'snapshot {snapshot.id}; {len(waiting)} notices wait, {len(kept)} in quarantine',
        highlight=False)
    for key, reason in kept.items():
        console.print(f'[yellow]quarantine:[/yellow] {key}: {reason}', highlight=False)
    return 0
