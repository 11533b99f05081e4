# SPDX-License-Identifier: Apache-2.0
"""The gate before the actor: is the reference better when the critic chooses its chunks?

A critic that cannot choose cannot teach either: an actor that follows it gets worse.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lwd_policy.card import PolicyCard
from lwd_policy.config import PolicyConfig
from lwd_policy.critic import Critic
from lwd_policy.policy import FlowPolicy
from lwd_policy.runtime import RuntimeConfig
from lwd_policy.store import CRITIC, POLICY, card_of, save_critic, save_policy
from lwd_rollout.evaluate import EvaluationPlan, outcomes_of
from lwd_rollout.statistics import bootstrap_mean


@dataclass(frozen=True)
class GatePlan:
    """What is compared."""

    tasks: tuple[str, ...]
    distribution: str = 'train'
    """Of the data that the critic was trained on."""
    episodes: int = 20
    """Of each task, with and without the critic, on the same scenes."""
    best_of: int = 8
    first_seed: int = 50_000_000
    """Within the split `tune`, apart from those that settings are chosen on."""


@dataclass(frozen=True)
class GateFigures:
    """What came of it."""

    plain: float
    """Mean score of the reference."""
    chosen: float
    """With the best of its chunks by the critic."""
    low: float
    """Of the paired difference: 95 % interval."""
    high: float

    @property
    def passed(self) -> bool:
        """Whether the critic's choice is better."""
        return self.chosen > self.plain


def compare(
    policy: FlowPolicy, critic: Critic, plan: GatePlan, *, processes: int = 0,
    progress: Callable[[int, int, str], None] = lambda *_: None,
) -> GateFigures:
    """Evaluate a policy with and without its critic's choice, on the same scenes."""
    scores = []
    with tempfile.TemporaryDirectory() as folder:
        card = _card(policy.config)
        save_policy(Path(folder) / POLICY, policy, card)
        save_critic(Path(folder) / CRITIC, critic, policy.config, card)
        base = EvaluationPlan(
            controller=str(Path(folder) / POLICY), tasks=plan.tasks,
            distributions=(plan.distribution,), episodes=plan.episodes, split='tune',
            first_seed=plan.first_seed, films=False)
        for best_of in (1, plan.best_of):
            found = outcomes_of(
                replace(base, best_of=best_of), processes=processes, progress=progress)
            scores.append({(one.task, one.seed): one.verdict.score for one in found})
    apart = [scores[1][key] - scores[0][key] for key in sorted(scores[0])]
    return GateFigures(float(np.mean(list(scores[0].values()))),
                       float(np.mean(list(scores[1].values()))), *bootstrap_mean(apart))


def _card(config: PolicyConfig) -> PolicyCard:
    return card_of(config, RuntimeConfig(), name='gate', algorithm='', command='', seed=0)
