# SPDX-License-Identifier: Apache-2.0
"""From a snapshot to the windows that an algorithm's phases draw."""

from __future__ import annotations

import zlib
from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwd_data.errors import EmptyError
from lwd_data.replay.anchors import Selection
from lwd_data.replay.batch import Batch
from lwd_data.replay.episode import EpisodeColumns
from lwd_data.replay.sampler import SamplerConfig, WindowSampler
from lwd_data.replay.snapshot import Snapshot
from lwd_data.replay.table import AnchorTable
from lwd_learner.algorithms.base import Facts, Feed, Human, Windows
from lwd_learner.engine import Engine
from lwd_learner.errors import DataError, NoEpisodeError
from lwd_learner.td import TdConfig
from lwd_msgs.msg import ControlStep, Reward
from lwd_policy.config import PolicyConfig

POLICY, TELEOP = int(ControlStep.SOURCE_POLICY), int(ControlStep.SOURCE_TELEOP)
SUCCESS = int(Reward.TERMINAL_SUCCESS)
HELD_OUT_EVERY = 20
"""Of so many episodes one is held out from critics."""
UNDOING = 60
"""Control steps that it takes a human who has taken over to back out: 2 s."""


def _good(columns: EpisodeColumns) -> NDArray[np.bool_]:
    """Successful demonstrations, and what a policy did in the end of an episode that succeeded.

    A policy is imitated from where it decided: a window that spans two of its chunks is something
    that it never meant. And only after the last time that somebody else drove: before that it went
    astray, and what it did then is nothing to repeat.
    """
    if columns.outcome != SUCCESS:
        return np.zeros(len(columns.source), dtype=bool)
    by_policy = columns.source == POLICY
    if not by_policy.any():
        return np.ones(len(by_policy), dtype=bool)
    chunk = columns.chunk_id
    begins = np.concatenate([[True], chunk[1:] != chunk[:-1]])
    alone: NDArray[np.bool_] = np.logical_and.accumulate(by_policy[::-1])[::-1]
    return begins & alone


def _corrections(columns: EpisodeColumns) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = columns.source == TELEOP
    return found


def _rescues(columns: EpisodeColumns) -> NDArray[np.bool_]:
    """What humans did that led to a success, from when they had undone what was wrong.

    A rescue begins by backing out. Whoever imitates that backs out of good grasps as well: they
    look much the same. (docs/learner.md has what each is worth.)
    """
    by_human = _corrections(columns)
    steps = np.arange(len(by_human))
    last_other = np.maximum.accumulate(np.where(by_human, -1, steps))
    return by_human & (columns.outcome == SUCCESS) & (steps - last_other > UNDOING)


def _is_held_out(episode: str) -> bool:
    """One episode in twenty, always the same ones: critics learn the others by heart."""
    return zlib.crc32(episode.encode()) % HELD_OUT_EVERY == 0


def _held_out(columns: EpisodeColumns) -> NDArray[np.bool_]:
    return np.full(len(columns.source), _is_held_out(columns.record.name))


def _seen(columns: EpisodeColumns) -> NDArray[np.bool_]:
    return ~_held_out(columns)


_SELECT: dict[Windows, Selection | None] = {
    'all': None, 'good': _good, 'corrections': _corrections, 'rescues': _rescues, 'seen': _seen,
    'held_out': _held_out}


class Replay:
    """Samplers over one snapshot, made when they are first asked for."""

    def __init__(
        self, snapshot: Snapshot, policy: PolicyConfig, engine: Engine, td: TdConfig, *,
        seed: int = 0, previous: Replay | None = None,
    ) -> None:
        """Look at a snapshot.

        Args:
            snapshot: What to train on.
            policy: Says what is observed, and how long a chunk is.
            engine: Says which rank draws.
            td: For the facts.
            seed: Of the draws.
            previous: Over an older snapshot of the same store: only what is new is looked at.

        Raises:
            DataError: There is nothing to train on, or nothing that the policy can see.
            lwd_data.errors.DataError: Files of the snapshot are missing, changed, or unusable.
        """
        self.snapshot, self.policy, self.engine, self.seed = snapshot, policy, engine, seed
        self._samplers: dict[tuple[Any, ...], WindowSampler] = {}
        self.latest: dict[Windows, WindowSampler] = {} if previous is None else previous.latest
        """The newest sampler of each kind of windows, for the next one to take over from."""
        steps: dict[str, list[int]] = defaultdict(list)
        tasks: set[str] = set()
        for record in snapshot.episodes():
            tasks.add(record.task)
            if record.label == 'success' and 'steps' in record.custom:
                steps[record.task].append(int(record.custom['steps']))
        if not tasks:
            raise NoEpisodeError(
                f'snapshot {snapshot.id[:12]} of {snapshot.store} holds no episode')
        self.tasks = tuple(sorted(tasks))
        chunks = {task: float(np.median(steps[task])) / policy.horizon if steps[task] else 0.0
                  for task in self.tasks}
        self._check_seen(self.sampler(Feed('all', engine.world_size)))
        self.facts = Facts(chunks, self._by_humans(), td, self._held_out())

    def _sizes(self) -> tuple[AnchorTable, NDArray[np.int64]]:
        """Return the table of all windows, and how many each of its stretches has."""
        table = self.sampler(Feed('all', self.engine.world_size)).table
        return table, np.diff(table.ends, prepend=0)

    def _by_humans(self) -> dict[Human, int]:
        """Count windows of humans."""
        table, sizes = self._sizes()
        found: dict[Human, int] = {
            'corrections': int(sizes[table.source == TELEOP].sum()), 'rescues': 0}
        if found['corrections']:
            try:
                found['rescues'] = len(self.sampler(Feed('rescues', self.engine.world_size)))
            except EmptyError:
                # All of them failed, or did nothing yet but back out.
                return found
        return found

    def _held_out(self) -> int:
        """Count windows of held-out episodes; none are where nothing else is left."""
        table, sizes = self._sizes()
        names = np.array([_is_held_out(each.record.name) for each in table.episodes], dtype=bool)
        out = names[table.episode]
        return int(sizes[out].sum()) if sizes[~out].sum() else 0

    def _check_seen(self, sampler: WindowSampler) -> None:
        """Refuse observations of another layout than the policy's, before it looks at any."""
        policy, snapshot = self.policy, self.snapshot
        where = f'snapshot {snapshot.id[:12]} of {snapshot.store}'
        if policy.observation == 'scene':
            layout = sampler.table.layout
            if not layout:
                raise DataError(
                    f'{where} has no scene features, only simulated episodes do; train on images: '
                    'policy.observation=cameras')
            if layout != policy.scene_layout:
                raise DataError(
                    f'{where} has scene features of layout {layout}; the policy sees '
                    f'{policy.scene_layout} (policy.scene_layout). Train on other episodes, or a '
                    'policy that sees what was recorded')
            return
        size = policy.image_size
        for camera, images in sampler.batch(0).observation.images.items():
            if images.shape[1:3] != (size, size):
                raise DataError(
                    f'{where} has images of {camera} of {images.shape[2]} x {images.shape[1]} '
                    f'pixels; the policy sees {size} x {size} (policy.image_size)')

    def sampler(self, feed: Feed) -> WindowSampler:
        """Return the sampler of a feed."""
        n_steps = {task: int(feed.n_steps.get(task, 1)) for task in self.tasks}
        key = (feed.windows, feed.batch_size, feed.online_ratio, tuple(n_steps.items()))
        if key not in self._samplers:
            scene = self.policy.observation == 'scene'
            ranks = self.engine.world_size
            if feed.batch_size % ranks:
                raise DataError(
                    f'a batch of {feed.batch_size} cannot be shared evenly by {ranks} processes; '
                    'choose a batch size that they divide')
            config = SamplerConfig(
                batch_size=feed.batch_size // ranks, horizon=self.policy.horizon,
                online_ratio=feed.online_ratio, scene=scene,
                cameras=() if scene else self.policy.cameras,
                seed=self._seed(feed.windows), rank=self.engine.rank, world_size=ranks)
            found = WindowSampler(
                self.snapshot, config, n_steps, select=_SELECT[feed.windows],
                previous=self.latest.get(feed.windows, self.latest.get('all')))
            self._samplers[key] = self.latest[feed.windows] = found
        return self._samplers[key]

    def _seed(self, windows: Windows) -> int:
        # Feeds of one update draw apart from each other.
        return self.seed * len(_SELECT) + list(_SELECT).index(windows)

    def sample(self, count: int) -> Batch:
        """Return windows to fit a normalisation to: the same on every rank."""
        scene = self.policy.observation == 'scene'
        config = SamplerConfig(
            batch_size=count, horizon=self.policy.horizon, scene=scene,
            cameras=() if scene else self.policy.cameras, seed=self.seed)
        return WindowSampler(
            self.snapshot, config, dict.fromkeys(self.tasks, 1),
            previous=self.latest.get('all')).batch(0)

    def mixture(self) -> dict[str, Any]:
        """Return counts of the windows there are, for logs and cards."""
        return self.sampler(Feed('all', self.engine.world_size)).describe()
