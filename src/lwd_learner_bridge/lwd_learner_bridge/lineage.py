# SPDX-License-Identifier: Apache-2.0
"""Where a policy comes from: the versions before it, the episodes behind it, what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lwd_data.replay.catalogue import Catalogue
from lwd_data.replay.database import FILE
from lwd_data.replay.episode import EpisodeColumns
from lwd_data.replay.files import Files
from lwd_learner_bridge.errors import LineageError
from lwd_msgs.msg import ControlStep
from lwd_policy.card import PolicyCard
from lwd_policy.published import Publication


@dataclass(frozen=True)
class EpisodeBehind:
    """One episode that a policy was trained on."""

    name: str
    robot: str
    task: str
    label: str
    origin: str
    """offline or online."""
    steps: int
    interventions: int
    """Times that a human took over."""
    human_steps: int
    """Steps that a human was in control of."""
    versions: tuple[str, ...]
    """Policies that drove in it."""


@dataclass(frozen=True)
class Lineage:
    """What is known about where a version comes from."""

    version: str
    card: PolicyCard | None
    """None if only its name is known, as of a parent that was never published."""
    parents: tuple[str, ...]
    """Versions that it was trained from, the nearest first."""
    children: tuple[str, ...]
    """Versions that were trained from it."""
    publications: tuple[Publication, ...]
    """Of it, the newest first."""

    @property
    def snapshot(self) -> str:
        """Replay snapshot that it was trained on; empty if none is known."""
        said = self.card.snapshot if self.card else ''
        return said or next((one.snapshot for one in self.publications if one.snapshot), '')


def trace(publications: Iterable[Publication], prefix: str) -> Lineage:
    """Return the lineage of the one version that begins with a prefix.

    Raises:
        LineageError: There is none, or several.
        PublishedError, CardError: A card cannot be read.
    """
    publications = list(publications)
    cards: dict[str, PolicyCard] = {}
    for publication in publications:
        if publication.version not in cards:
            cards[publication.version] = publication.card()
    known = {*cards, *(card.parent for card in cards.values() if card.parent)}
    version = resolve(known, prefix)
    return Lineage(
        version, cards.get(version), tuple(_parents(cards, version)),
        tuple(name for name, card in cards.items() if card.parent == version),
        tuple(one for one in publications if one.version == version))


def resolve(known: Iterable[str], prefix: str) -> str:
    """Return the one version that begins with a prefix.

    Raises:
        LineageError: There is none, or several.
    """
    known = set(known)
    found = sorted(version for version in known if prefix and version.startswith(prefix))
    if len(found) != 1:
        names = ', '.join(version[:12] for version in found or sorted(known)) or 'none'
        raise LineageError(
            f'{prefix!r} is short for {len(found)} versions; '
            f'{"give more of it" if found else "known are"}: {names}')
    return found[0]


def _parents(cards: dict[str, PolicyCard], version: str) -> Iterator[str]:
    seen = {version}
    while version in cards and cards[version].parent not in ('', *seen):
        version = cards[version].parent
        seen.add(version)
        yield version


def episodes_behind(store: Path, snapshot: str) -> Iterator[EpisodeBehind]:
    """Yield the episodes of a snapshot, in the order they came.

    Args:
        store: Replay store.
        snapshot: Its id, or a pin's name.

    Raises:
        LineageError: There is no store.
        CatalogueError, IndexFileError: It does not have the snapshot, or is damaged.
    """
    if not (store / FILE).is_file():
        raise LineageError(f'{store} is no replay store: there is no {FILE}; give its folder')
    with Catalogue(store) as catalogue:
        records = catalogue.open_snapshot(snapshot).episodes()
    files = Files()
    for record in records:
        columns = EpisodeColumns(record, files.index)
        human = columns.source == ControlStep.SOURCE_TELEOP
        begins = human & ~np.concatenate([[False], human[:-1]]) if len(human) else human
        yield EpisodeBehind(
            record.name, record.robot, record.task, record.label, record.origin, len(columns),
            int(begins.sum()), int(human.sum()),
            tuple(version for version in columns.versions if version))
