# SPDX-License-Identifier: Apache-2.0
"""Which seeds are for what: ranges that cannot overlap; nothing is tested on what it saw."""

from __future__ import annotations

from typing import Literal

from g1_description.errors import alternatives
from g1_sim.errors import SceneError

Split = Literal['pool', 'online', 'tune', 'test']
_ORDER: tuple[Split, ...] = ('pool', 'online', 'tune', 'test')
SPLIT_SIZE = 100_000_000
"""Seeds a split."""


def split_range(split: str) -> range:
    """Return the seeds of a split.

    pool: demonstrations and other offline data. online: what a fleet meets while it learns. tune:
    choosing settings. test: reported results, and nothing else.

    Raises:
        SceneError: There is no such split.
    """
    for i, name in enumerate(_ORDER):
        if name == split:
            return range(i * SPLIT_SIZE, (i + 1) * SPLIT_SIZE)
    raise SceneError(f'unknown split {split!r}{alternatives(split, _ORDER)}')


def seeds(split: str, first: int, count: int) -> range:
    """Return `count` seeds of a split, from its `first` one on.

    Raises:
        SceneError: They would reach into another split.
    """
    whole = split_range(split)
    if first < 0 or count < 0 or first + count > SPLIT_SIZE:
        raise SceneError(
            f'seeds {first} .. {first + count - 1} do not lie in split {split!r}, which has '
            f'{SPLIT_SIZE}, counted from 0')
    return whole[first:first + count]


def split_of(seed: int) -> str:
    """Return the split that a seed belongs to.

    Raises:
        SceneError: It belongs to none.
    """
    index = seed // SPLIT_SIZE
    if not 0 <= index < len(_ORDER):
        raise SceneError(f'seed {seed} belongs to no split; they have 0 .. '
                         f'{len(_ORDER) * SPLIT_SIZE - 1}')
    return _ORDER[index]
