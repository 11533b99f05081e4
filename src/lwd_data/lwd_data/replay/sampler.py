# SPDX-License-Identifier: Apache-2.0
"""Draws batches of windows from a snapshot.

A batch depends on (seed, step) and nothing that was drawn before, so that a run resumes to the
same batches. All ranks draw the same global batch and each reads its own slice of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwd_data.errors import SampleError
from lwd_data.replay import draw, windows
from lwd_data.replay.anchors import Rule, Selection
from lwd_data.replay.batch import Batch
from lwd_data.replay.episode import EpisodeColumns
from lwd_data.replay.files import Files
from lwd_data.replay.gather import Gatherer
from lwd_data.replay.records import ORIGINS
from lwd_data.replay.snapshot import Snapshot
from lwd_data.replay.table import AnchorTable, build_table

_ONLINE = ORIGINS.index('online')


@dataclass(frozen=True)
class SamplerConfig:
    """What a batch is made of."""

    batch_size: int = 256
    """Windows that one process gets; all ranks together draw world_size times as many."""
    horizon: int = 30
    """H, steps of a chunk."""
    online_ratio: float = 0.5
    """Share of windows from the fleet, where the snapshot holds both origins (RLPD takes half)."""
    balance_tasks: bool = True
    """Whether each task gets the same share; otherwise as many as it has windows."""
    scene: bool = True
    """Whether to read privileged scene features; only steps that have them are drawn then."""
    cameras: tuple[str, ...] = ()
    """Whose images to read; only steps that saw all of them are drawn then."""
    seed: int = 0
    rank: int = 0
    """Of this process, 0 .. world_size - 1."""
    world_size: int = 1
    decode_threads: int = 4
    """That decode images."""

    def __post_init__(self) -> None:
        for name, low in (('batch_size', 1), ('horizon', 1), ('world_size', 1), ('seed', 0),
                          ('decode_threads', 1)):
            if getattr(self, name) < low:
                raise SampleError(f'{name} is {getattr(self, name)}; it must be at least {low}')
        if not 0.0 <= self.online_ratio <= 1.0:
            raise SampleError(f'online_ratio is {self.online_ratio}; it must be in 0 .. 1')
        if not 0 <= self.rank < self.world_size:
            raise SampleError(
                f'rank is {self.rank}; with world_size {self.world_size} it must be in '
                f'0 .. {self.world_size - 1}')


class WindowSampler:
    """Draws windows; threads may share it."""

    def __init__(
        self, snapshot: Snapshot, config: SamplerConfig, n_steps: Mapping[str, int], *,
        select: Selection | None = None, previous: WindowSampler | None = None,
        files: Files | None = None,
    ) -> None:
        """Find every window of a snapshot.

        Args:
            snapshot: What to draw from.
            config: What a batch is made of.
            n_steps: By task: chunks that a window may span at most.
            select: Says for each step of an episode, (T,), whether it may begin a window; all that
                can by default.
            previous: A sampler of an older snapshot of the same store, or with another n_steps or
                selection: what has not changed since is taken over, and not looked at again.
            files: Bounds how many files are open; those of `previous` by default.

        Raises:
            CatalogueError: Files of the snapshot are missing or changed.
            SampleError: A task has no entry in n_steps, or nothing is left to draw.
        """
        self.snapshot, self.config = snapshot, config
        known = previous.table if previous is not None else None
        self.table: AnchorTable = build_table(
            snapshot, files or (known.files if known is not None else Files()), n_steps,
            Rule(config.horizon, config.scene, tuple(config.cameras), select),
            () if known is None else known.found)
        """All windows."""
        self._gather = Gatherer(
            self.table, horizon=config.horizon, scene=config.scene, cameras=config.cameras,
            threads=config.decode_threads)
        self._draw = draw.Draw(
            self.table.group_origin, self.table.group_count,
            online_ratio=config.online_ratio, balance_tasks=config.balance_tasks)

    @property
    def tasks(self) -> tuple[str, ...]:
        """What Batch.task counts into."""
        return self.table.tasks

    @property
    def episodes(self) -> tuple[EpisodeColumns, ...]:
        """What Batch.episode counts into."""
        return self.table.episodes

    def __len__(self) -> int:
        """Return how many windows there are."""
        return int(self.table.group_count.sum())

    def describe(self) -> dict[str, Any]:
        """Return counts of the windows that can be drawn: the mixture, for logs.

        Returns:
            `windows`, `episodes` that have some, `left_out` windows that lack an observation at
            one of their ends; windows by name of `task`, `origin`, `source` and `outcome`; and
            `staleness`, how many policies are newer than the one that acted, in the mean.
        """
        return self.table.describe()

    def batch(self, step: int) -> Batch:
        """Return the windows of a step.

        Args:
            step: From 0; the same one gives the same batch.

        Raises:
            IndexFileError: A file was changed or removed since the sampler was made.
        """
        config, table = self.config, self.table
        group, within = self._draw(
            config.seed, step, config.batch_size * config.world_size,
            config.rank * config.batch_size, config.batch_size)
        stretch, anchor = table.locate(group, within)
        episode = table.episode[stretch]
        found = windows.windows(
            anchor, table.run_stop[stretch], table.stop[episode], table.verdict[episode],
            config.horizon, table.n_steps[table.task[episode]])
        read = self._gather(episode, anchor, found)
        outcome = table.outcome[episode]
        return Batch(
            observation=read.observation, chunk=read.chunk, rewards=read.rewards,
            span=found.span, end=np.where(found.ends, outcome, 0).astype(np.uint8),
            next_observation=read.next_observation,
            to_end=table.stop[episode] - 1 - anchor, outcome=outcome,
            source=table.source[stretch], task=table.task[episode],
            version=table.version[stretch], online=table.origin[episode] == _ONLINE,
            episode=episode, step=anchor, instructions=table.instructions, tasks=table.tasks,
            versions=table.versions)
