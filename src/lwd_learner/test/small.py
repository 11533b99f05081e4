# SPDX-License-Identifier: Apache-2.0
"""Small networks and a replay of random windows, for tests of algorithms and trainer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from batches import make_batch

from lwd_data.replay.batch import Batch
from lwd_learner.algorithms.base import Facts, Feed
from lwd_learner.algorithms.hg_dagger import HgDaggerConfig
from lwd_learner.algorithms.lwd import LwdConfig
from lwd_learner.algorithms.recap import RecapConfig
from lwd_learner.algorithms.sft import SftConfig
from lwd_learner.engine import Engine, EngineConfig
from lwd_learner.extraction import QamConfig
from lwd_learner.td import TdConfig
from lwd_learner.trainer import Trainer, TrainerConfig
from lwd_learner.training import TrainConfig, make_algorithm
from lwd_learner.value_learning import ValueConfig
from lwd_policy.config import PolicyConfig
from lwd_policy.critic import CriticConfig

NAMES = ('sft', 'hg_dagger', 'recap', 'lwd', 'iql_qam')
"""Of all algorithms."""
POLICY = PolicyConfig(text_width=16, token_width=16, context_width=32, expert_width=32,
                      expert_depth=1, expert_heads=4)
VALUE = ValueConfig(critic=CriticConfig(width=32))
CONFIG = TrainConfig(
    policy=POLICY,
    sft=SftConfig(updates=6, online_updates=3, batch_size=8),
    hg_dagger=HgDaggerConfig(updates=6, online_updates=3, batch_size=8),
    recap=RecapConfig(value_updates=3, updates=6, online_value_updates=2, online_updates=3,
                      batch_size=8, value=replace(RecapConfig().value, critic=VALUE.critic)),
    lwd=LwdConfig(reference_updates=3, critic_updates=2, settle_updates=2, actor_updates=4,
                  online_critic_updates=2, online_updates=2, refresh_updates=2, batch_size=8,
                  actor_batch_size=4, value=VALUE, qam=QamConfig(spread_every=2)),
    trainer=TrainerConfig(log_every=2, checkpoint_every=3, tensorboard=False),
    engine=EngineConfig(device='cpu', precision='fp32'))


@dataclass
class Sampler:
    """Random windows, the same for the same step; rank r of W gets its rows of the whole batch."""

    feed: Feed
    rank: int = 0
    world_size: int = 1

    def batch(self, step: int) -> Batch:
        count, part = self.feed.batch_size, self.feed.batch_size // self.world_size
        n = max(self.feed.n_steps.values(), default=1)
        rng = np.random.default_rng([step, len(self.feed.windows)])
        end = rng.choice([0, 0, 1, 2], count)
        whole = make_batch(span=[30 * n] * count, end=end, rewards=30 * n, seed=step)
        whole.rewards[end == 1, -1] = 1.0
        source = 2 if self.feed.windows in ('corrections', 'rescues') else 3
        rows = slice(self.rank * part, (self.rank + 1) * part)
        return _rows(replace(whole, source=np.full(count, source, dtype=np.uint8)), rows)


def _rows(batch: Batch, rows: slice) -> Batch:
    def cut(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return value[rows]
        if hasattr(value, 'instruction'):
            return replace(value, state=value.state[rows], sent=value.sent[rows],
                           scene=value.scene[rows],
                           instruction=value.instruction[rows])
        return value

    return replace(batch, **{name: cut(value) for name, value in vars(batch).items()})


@dataclass
class Replay:
    """What the trainer asks of a replay."""

    corrections: int = 0
    rank: int = 0
    world_size: int = 1
    td: TdConfig = field(default_factory=TdConfig)
    snapshot: Any = field(default_factory=lambda: SimpleNamespace(id='f00d'))

    @property
    def facts(self) -> Facts:
        human = {'corrections': self.corrections, 'rescues': self.corrections}
        return Facts({'restock': 7.5, 'shoebox': 27.0}, human, self.td)

    def sampler(self, feed: Feed) -> Sampler:
        return Sampler(feed, self.rank, self.world_size)

    def sample(self, count: int) -> Batch:
        return Sampler(Feed('all', min(count, 256))).batch(0)

    def mixture(self) -> dict[str, Any]:
        return {'windows': 1000, 'source': {'expert': 1000}}


def make_trainer(folder, name='lwd', *, seed=0, config=CONFIG, **options):
    """Return a trainer of small networks."""
    config = replace(config, algorithm=name, seed=seed)
    engine = Engine(config.engine)
    algorithm = make_algorithm(config, engine)
    return Trainer(algorithm, engine, config.trainer, folder, seed=seed, **options)


def weights_of(trainer):
    """Return a copy of the weights that a trainer would publish."""
    return {name: value.clone() for name, value in trainer.algorithm.policy.state_dict().items()}


def same(one, other):
    """Return whether all weights are equal, bit for bit."""
    return all(torch.equal(one[name], other[name]) for name in one)
