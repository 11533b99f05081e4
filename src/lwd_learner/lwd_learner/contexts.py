# SPDX-License-Identifier: Apache-2.0
"""Contexts of a frozen backbone, computed once a window's first step and kept beside its segment.

Kept by the hash of the backbone's weights: another backbone finds nothing, and computes its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from lwd_data.replay.batch import Batch, Float, Observations
from lwd_data.replay.episode import EpisodeColumns
from lwd_data.replay.feature_cache import STEPS, FeatureCache
from lwd_data.replay.index import SegmentIndex
from lwd_learner.engine import Engine
from lwd_policy.backbone import Backbone
from lwd_policy.observation import from_replay

Int = NDArray[np.int64]


class ContextCache:
    """Gives batches the contexts of their first observations."""

    def __init__(self, engine: Engine, width: int) -> None:
        """Keep contexts of a width, computed where the engine runs and as precisely."""
        self._engine = engine
        self._cache = FeatureCache(STEPS, (width,), dtype='float32')
        self.computed = 0
        """Contexts that were not there yet."""

    def attach(
        self, batch: Batch, episodes: Sequence[EpisodeColumns], backbone: Backbone,
    ) -> Batch:
        """Return a batch whose observations bring the contexts of a sealed backbone.

        Args:
            batch: Windows.
            episodes: What Batch.episode counts into.
            backbone: Sealed: see Backbone.seal.

        Raises:
            IndexFileError: A folder of the store cannot be written.
            SampleError: A context is not finite.
        """
        key = f'{backbone.identity} {"bf16" if self._engine.bf16 else "fp32"}'
        context = np.empty((len(batch), backbone.config.context_width), np.float32)
        there = np.zeros(len(batch), bool)
        places = _places(batch, episodes)
        for index, windows, rows in places:
            context[windows], there[windows] = self._cache.read(index, rows, key)
        missing = np.flatnonzero(~there)
        if len(missing):
            context[missing] = self._compute(batch, missing, backbone)
            self.computed += len(missing)
            for index, windows, rows in places:
                new = ~there[windows]
                # A step may be drawn twice.
                rows_new, first = np.unique(rows[new], return_index=True)
                if len(rows_new):
                    self._cache.write(index, rows_new, key, context[windows[new][first]])
        return replace(batch, observation=replace(
            batch.observation, context=context, encoder=backbone.identity))

    def _compute(self, batch: Batch, rows: Int, backbone: Backbone) -> Float:
        seen = from_replay(_rows(batch.observation, rows), batch.instructions)
        with torch.no_grad(), self._engine.autocast():
            context = backbone.look(seen.to(self._engine.device)).context
        found: Float = context.float().cpu().numpy()
        return found


def _places(
    batch: Batch, episodes: Sequence[EpisodeColumns],
) -> list[tuple[SegmentIndex, Int, Int]]:
    """Return segments, each with its windows of the batch and their rows in its index."""
    windows: dict[str, list[int]] = defaultdict(list)
    rows: dict[str, list[int]] = defaultdict(list)
    indexes: dict[str, SegmentIndex] = {}
    for i, (episode, step) in enumerate(zip(batch.episode.tolist(), batch.step.tolist())):
        index, row, path = episodes[episode].locate(step)
        # A step whose parts lie in two segments is in neither's index, and computed each time.
        if isinstance(index, SegmentIndex):
            indexes[path] = index
            windows[path].append(i)
            rows[path].append(row)
    return [(index, np.array(windows[path]), np.array(rows[path]))
            for path, index in indexes.items()]


def _rows(seen: Observations, rows: Int) -> Observations:
    return Observations(
        seen.state[rows], seen.sent[rows], seen.scene[rows],
        {camera: image[rows] for camera, image in seen.images.items()}, seen.instruction[rows])
