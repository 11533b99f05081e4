# SPDX-License-Identifier: Apache-2.0
"""A comparison so small that a test can run it: two updates a phase, one task, two episodes."""

from __future__ import annotations

from dataclasses import replace

from lwd_learner.engine import EngineConfig
from lwd_learner.trainer import TrainerConfig
from lwd_learner.training import TrainConfig
from lwd_policy.config import PolicyConfig
from lwd_rollout.table.protocol import (
    Branching,
    Budget,
    Online,
    PoolOf,
    TableProtocol,
    Trials,
)
from lwd_rollout.table.settings import changed

POLICY = PolicyConfig(text_width=16, token_width=16, context_width=32, expert_width=32,
                      expert_depth=1, expert_heads=4)


def _train() -> TrainConfig:
    config = TrainConfig(
        policy=POLICY,
        trainer=TrainerConfig(log_every=1, checkpoint_every=100, tensorboard=False),
        engine=EngineConfig(device='cpu', precision='fp32', threads=1))
    for name in ('sft', 'hg_dagger', 'recap', 'lwd'):
        config = changed(config, f'{name}.batch_size', 8)
    config = changed(config, 'lwd.actor_batch_size', 4)
    config = changed(config, 'lwd.value.critic.width', 32)
    return changed(config, 'recap.value.critic.width', 32)


SMALL = TableProtocol(
    name='small', tasks=('restock',), methods=('lwd_online', 'filtered_same'), seeds=1,
    pool=PoolOf(hours=0.006), budget=Budget(2, 4, 2, 1, 1, 2),
    online=Online(rounds=2, episodes=1, operator_share=0.5),
    testing=Trials(episodes=2, noises=(1.0,), best_of=(1, 2)),
    branching=Branching(states=1, chunks=2), train=_train())
SFT_ONLY = replace(
    SMALL, methods=('sft',), budget=replace(SMALL.budget, reference=200),
    testing=replace(SMALL.testing, episodes=1, best_of=(1,)),
    train=changed(SMALL.train, 'trainer.checkpoint_every', 10))
"""Enough updates that it can be killed in their midst."""
