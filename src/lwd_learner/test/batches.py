# SPDX-License-Identifier: Apache-2.0
"""Replay batches for tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lwd_data.replay.batch import Batch, Observations
from lwd_data.scene_layout import SCENE_1

INSTRUCTIONS = ('put the red can on the upper shelf', 'pack the shoes')
TASKS = ('restock', 'shoebox')


def observations(rng: np.random.Generator, count: int) -> Observations:
    """Return random observations in which every token of the scene is there."""
    scene = rng.normal(0.7, 0.2, (count, SCENE_1.size)).astype(np.float32)
    at = 0
    for group in SCENE_1.groups:
        if group.present is not None:
            scene[:, at + group.present:at + group.count * group.size:group.size] = 1.0
        at += group.count * group.size
    return Observations(
        state=rng.normal(0.0, 0.3, (count, 20)).astype(np.float32),
        sent=rng.normal(0.0, 0.3, (count, 16)).astype(np.float32), scene=scene, images={},
        instruction=rng.integers(0, len(INSTRUCTIONS), count))


def make_batch(
    *, span: Sequence[int], end: Sequence[int], rewards: int = 30, seed: int = 0,
) -> Batch:
    """Return a batch of windows with such spans and ends; windows begin at steps 16, 17, ..."""
    rng = np.random.default_rng(seed)
    count = len(span)
    first = observations(rng, count)
    walk = np.cumsum(rng.normal(0.0, 0.02, (count, 30, 16)), axis=1)
    return Batch(
        observation=first, chunk=(first.sent[:, None] + walk).astype(np.float32),
        rewards=np.zeros((count, rewards), dtype=np.float32), span=np.array(span),
        end=np.array(end, dtype=np.uint8), next_observation=observations(rng, count),
        to_end=np.array(span) + 100, outcome=rng.choice([1, 2], count).astype(np.uint8),
        source=np.full(count, 3, dtype=np.uint8), task=rng.integers(0, len(TASKS), count),
        version=np.zeros(count, dtype=np.int64), online=np.zeros(count, dtype=bool),
        episode=np.arange(count), step=np.arange(count) + 16, instructions=INSTRUCTIONS,
        tasks=TASKS, versions=('',))
