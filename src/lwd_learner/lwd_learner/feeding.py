# SPDX-License-Identifier: Apache-2.0
"""The batches of a phase: read ahead while one is trained on, with contexts that were kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext

from lwd_data.replay.batch import Batch
from lwd_data.replay.prefetch import Prefetcher
from lwd_data.replay.sampler import WindowSampler
from lwd_learner.algorithms.base import Phase
from lwd_learner.contexts import ContextCache
from lwd_policy.backbone import Backbone

Samplers = Mapping[str, WindowSampler]
"""By name of the feed."""
Batches = dict[str, Batch]
"""By name of the feed."""


def reading(
    phase: Phase, samplers: Samplers, *, first: int, count: int, ahead: int,
) -> AbstractContextManager[Iterable[Batches]]:
    """Return the batches of successive updates; within a `with`, which ends the reading.

    A batch follows from its number alone, so reading ahead changes nothing but the time.

    Args:
        phase: Whose feeds are read.
        samplers: Of the feeds.
        first: Number of the first batch.
        count: How many.
        ahead: How many to keep ready; 0 reads each when it is asked for.
    """
    def make(number: int) -> Batches:
        return {name: samplers[name].batch(number) for name, feed in phase.feeds.items()
                if number % feed.every == 0}

    if not ahead:
        return nullcontext(map(make, range(first, first + count)))
    return Prefetcher(make, first=first, count=count, depth=ahead)


def with_contexts(
    batches: Batches, phase: Phase, samplers: Samplers, cache: ContextCache | None,
    backbone: Backbone,
) -> Batches:
    """Return batches that bring contexts, where a phase wants them and the backbone is sealed."""
    if cache is None or not backbone.identity:
        return batches
    return {
        name: cache.attach(batch, samplers[name].episodes, backbone)
        if phase.feeds[name].contexts else batch for name, batch in batches.items()}
