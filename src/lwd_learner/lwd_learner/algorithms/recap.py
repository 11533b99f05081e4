# SPDX-License-Identifier: Apache-2.0
"""RECAP: imitation under a binarised advantage (the method of pi*0.6, arXiv 2511.14759).

A distributional value of the return-to-go is fitted to what happened: -1 per step of the task's
longest episode until success, -1 for a failure. The advantage of a chunk, R + V(s') - V(s), is
good if it belongs to the task's best part, and corrections are always good. The policy is trained
on everything with that label as its condition, sometimes without one, and is asked for "good".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lwd_data.replay.batch import Batch
from lwd_learner import divl
from lwd_learner.algorithms.base import Facts, Feed, Phase
from lwd_learner.algorithms.common import (
    TrainedPolicy,
    name_of,
    observation_of,
    sample_of,
)
from lwd_learner.divl import DivlConfig
from lwd_learner.engine import Engine
from lwd_learner.errors import ConfigError
from lwd_learner.imitation import Sample
from lwd_learner.optimise import OptimiserConfig
from lwd_learner.td import Stage
from lwd_learner.value_learning import ValueConfig, ValueLearner
from lwd_policy.config import PolicyConfig
from lwd_policy.critic import Critic
from lwd_policy.policy import FlowPolicy
from lwd_policy.runtime import RuntimeConfig

NONE, BAD, GOOD = 0, 1, 2
_SUCCESS = 1
_TELEOP = 2


@dataclass(frozen=True)
class RecapConfig:
    """Of conditioned imitation."""

    value_updates: int = 3300
    """Of the value; as many as LWD's critic has."""
    updates: int = 6000
    """Of the policy, offline."""
    online_value_updates: int = 350
    """In each round online."""
    online_updates: int = 120
    """In each round online."""
    batch_size: int = 256
    good: float = 0.3
    """Part of a task's chunks whose advantage counts as good."""
    drop: float = 0.3
    """Part of the samples that are trained without a condition."""
    guidance: float = 1.5
    """At run time: how much the condition is exaggerated."""
    lookahead: int = 1
    """Chunks of an advantage."""
    value: ValueConfig = field(default_factory=lambda: ValueConfig(
        divl=DivlConfig(low=-1.1, high=0.1)))
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(
        rate=3e-3, warmup=200, decay_to=0.02))
    online_optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(rate=1e-4, decay_to=1.0))
    ema: float = 0.005

    def __post_init__(self) -> None:
        for name in ('good', 'drop'):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ConfigError(f'recap.{name} is {getattr(self, name)}; it is a part, 0 .. 1')


class Recap:
    """Advantage-conditioned imitation."""

    name = 'recap'

    def __init__(
        self, config: RecapConfig, policy: PolicyConfig, engine: Engine, *, seed: int = 0,
    ) -> None:
        """Build it with random weights; the policy must know two conditions."""
        if policy.conditions != GOOD:
            raise ConfigError(
                f'recap needs a policy with {GOOD} conditions; this one has {policy.conditions}')
        self.config, self.engine, self.seed = config, engine, seed
        self._actor = TrainedPolicy(policy, config.optimiser, engine, seed=seed, ema=config.ema,
                                    total=config.updates)
        self.values = ValueLearner(config.value, policy, engine, config.value_updates)
        self.fitted = False
        self.runtime = RuntimeConfig(condition=GOOD, guidance=config.guidance)
        self._longest: dict[str, float] = {}
        self._thresholds: dict[str, float] = {}
        self._seen: dict[str, list[float]] = {}

    @property
    def policy(self) -> FlowPolicy:
        """The moving average."""
        return self._actor.average

    @property
    def critic(self) -> Critic:
        """Its V is the value of the return-to-go; its Q is not trained."""
        return self.values.critic

    def phases(self, stage: Stage, facts: Facts) -> list[Phase]:
        """Return the value's phase, one that measures advantages, and the policy's."""
        for task, chunks in facts.chunks.items():
            # Twice the median success: failures lie below every success.
            self._longest[task] = 2.0 * chunks * self._horizon
        config, size = self.config, self.config.batch_size
        ahead = dict.fromkeys(facts.chunks, config.lookahead)
        offline = stage == 'offline'
        return [
            Phase(f'value-{stage}',
                  config.value_updates if offline else config.online_value_updates,
                  {'all': Feed('all', size)}),
            Phase(f'advantages-{stage}', 20, {'all': Feed('all', size, ahead)}),
            Phase(f'imitation-{stage}', config.updates if offline else config.online_updates,
                  {'all': Feed('all', size, ahead, contexts=True)})]

    @property
    def _horizon(self) -> int:
        return self._actor.network.config.horizon

    def begin(self, phase: Phase) -> None:
        """Measure advantages anew; take the optimiser of the stage."""
        if phase.name.startswith('advantages'):
            self._seen = {}
        if phase.name == 'imitation-online':
            self._actor.use(self.config.online_optimiser)

    def update(self, phase: Phase, step: int, batches: Mapping[str, Batch]) -> dict[str, float]:
        """Make one update of the value or of the policy."""
        batch = batches['all']
        generator = self.engine.generator(self.seed, step)
        if phase.name.startswith('value'):
            return self._fit_value(batch, step)
        advantage = self._advantages(batch)
        if phase.name.startswith('advantages'):
            return self._measure(batch, advantage)
        condition = self.conditions(batch, advantage)
        dropped = self.engine.uniform((len(batch),), generator) < self.config.drop
        condition = torch.where(dropped, torch.zeros_like(condition), condition)
        sample = sample_of(batch, self.engine)
        conditioned = Sample(sample.observation.conditioned(condition), sample.chunk)
        found = self._actor.imitate([conditioned], generator, name_of(batch, step))
        return found | {'recap/good': float((condition == GOOD).float().mean())}

    def _returns(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the return-to-go, (B,), and whether the episode has a verdict, (B,)."""
        longest = np.array([self._longest.get(name, 0.0) for name in batch.tasks])[batch.task]
        longest = np.maximum(longest, 1.0)
        success = batch.outcome == _SUCCESS
        value = np.where(success, -np.minimum((batch.to_end + 1) / longest, 1.0), -1.0)
        device = self.engine.device
        return (torch.from_numpy(value.astype(np.float32)).to(device),
                torch.from_numpy(batch.outcome != 0).to(device))

    def _fit_value(self, batch: Batch, step: int) -> dict[str, float]:
        target, known = self._returns(batch)
        sample = sample_of(batch, self.engine)
        actions = self.values.critic.actions.encode(sample.chunk, sample.observation.sent)
        with self.engine.autocast():
            logits, _ = self.values.trained(sample.observation, actions)
        each = divl.loss(logits.float(), target, self.values.support)
        loss = (each * known).sum() / known.sum().clamp(min=1)
        norm = self.values.optimiser.step(loss, f'the value at {name_of(batch, step)}')
        return {'loss/value': self.engine.mean(loss), 'grad/critic': norm}

    def _advantages(self, batch: Batch) -> Tensor:
        now = self.values.expected(observation_of(batch, batch.observation, self.engine))
        ahead = self.values.expected(observation_of(batch, batch.next_observation, self.engine))
        longest = np.maximum(
            np.array([self._longest.get(name, 0.0) for name in batch.tasks])[batch.task], 1.0)
        device = self.engine.device
        cost = torch.from_numpy((batch.span / longest).astype(np.float32)).to(device)
        end = torch.from_numpy(batch.end).to(device)
        ended = torch.where(end == _SUCCESS, -cost, torch.full_like(cost, -1.0))
        return torch.where(end == 0, ahead - cost, ended) - now

    def _measure(self, batch: Batch, advantage: Tensor) -> dict[str, float]:
        values = advantage.cpu().numpy()
        for index, name in enumerate(batch.tasks):
            self._seen.setdefault(name, []).extend(values[batch.task == index].tolist())
        self._thresholds = {
            name: float(np.quantile(seen, 1.0 - self.config.good))
            for name, seen in self._seen.items() if seen}
        return {f'recap/threshold/{name}': value for name, value in self._thresholds.items()}

    def conditions(self, batch: Batch, advantage: Tensor) -> Tensor:
        """Return GOOD or BAD of each window, (B,)."""
        limits = np.array([self._thresholds.get(name, 0.0) for name in batch.tasks])[batch.task]
        device = self.engine.device
        good = advantage >= torch.from_numpy(limits.astype(np.float32)).to(device)
        good = good | torch.from_numpy(batch.source == _TELEOP).to(device)
        return torch.where(good, GOOD, BAD)

    def start_from(self, policy: FlowPolicy) -> None:
        """Go on from a policy that was trained before."""
        self.fitted = True
        self._actor.restart(policy, self.config.updates)
        self.values.adopt(policy)

    def freeze_backbone(self, frozen: bool) -> None:
        """Keep the policy's backbone as it is from now on, or train it again."""
        self._actor.freeze_backbone(frozen)

    def fit(self, batch: Batch) -> None:
        """Fit the normalisation."""
        self.fitted = True
        self._actor.fit(batch)
        self.values.fit(batch)

    def state(self) -> dict[str, Any]:
        """Return all that is needed to go on."""
        return {'actor': self._actor.state(), 'values': self.values.state(),
                'longest': self._longest, 'thresholds': self._thresholds, 'seen': self._seen}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self.fitted = True
        self._actor.restore(state['actor'])
        self.values.restore(state['values'])
        self._longest, self._thresholds = state['longest'], state['thresholds']
        self._seen = state['seen']
