# SPDX-License-Identifier: Apache-2.0
"""HG-DAgger: imitation with the human's corrections added as they come in (Kelly et al. 2019).

Offline it is behaviour cloning; online a part of every batch are corrections, and the rest
demonstrations: those of the offline data, or where there are none what succeeded online.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lwd_data.replay.batch import Batch
from lwd_learner.algorithms.base import Facts, Feed, Human, Phase
from lwd_learner.algorithms.common import TrainedPolicy, name_of, sample_of
from lwd_learner.engine import Engine
from lwd_learner.errors import ConfigError
from lwd_learner.optimise import OptimiserConfig
from lwd_learner.td import Stage
from lwd_policy.config import PolicyConfig
from lwd_policy.policy import FlowPolicy
from lwd_policy.runtime import RuntimeConfig


@dataclass(frozen=True)
class HgDaggerConfig:
    """Of imitation with corrections."""

    updates: int = 6000
    """Offline."""
    online_updates: int = 120
    """In each round online."""
    batch_size: int = 256
    corrections: float = 0.5
    """Part of an online batch that are corrections, once there are any: 0 to 1."""
    learn_from: Human = 'rescues'
    """Which these are: of episodes that succeeded, from when the human had backed out of what was
    wrong, or all (corrections), as published."""
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(
        rate=3e-3, warmup=200, decay_to=0.02))
    online_optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(rate=5e-5, warmup=20, decay_to=1.0))
    ema: float = 0.005
    """Part of the way that the published average goes in an update."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.corrections <= 1.0:
            raise ConfigError(
                f'hg_dagger.corrections is {self.corrections}; it must be from 0 to 1')


class HgDagger:
    """Imitation of demonstrations and corrections."""

    name = 'hg_dagger'

    def __init__(
        self, config: HgDaggerConfig, policy: PolicyConfig, engine: Engine, *, seed: int = 0,
    ) -> None:
        """Build it with random weights."""
        self.config, self.engine, self.seed = config, engine, seed
        self._actor = TrainedPolicy(policy, config.optimiser, engine, seed=seed, ema=config.ema,
                                    total=config.updates)
        self.fitted = False
        self.runtime = RuntimeConfig()

    @property
    def policy(self) -> FlowPolicy:
        """The moving average."""
        return self._actor.average

    def phases(self, stage: Stage, facts: Facts) -> list[Phase]:
        """Return one phase of imitation."""
        size = self.config.batch_size
        if stage == 'offline':
            return [Phase('imitation-offline', self.config.updates, {'good': Feed('good', size)})]
        kind = self.config.learn_from
        human = round(size * self.config.corrections) if facts.human[kind] else 0
        feeds = {}
        if human < size:
            feeds['good'] = Feed('good', size - human, online_ratio=0.0, contexts=True)
        if human:
            feeds[kind] = Feed(kind, human, contexts=True)
        return [Phase('imitation-online', self.config.online_updates, feeds)]

    def begin(self, phase: Phase) -> None:
        """Take the optimiser of the stage."""
        if phase.name.endswith('online'):
            self._actor.use(self.config.online_optimiser)

    def update(self, phase: Phase, step: int, batches: Mapping[str, Batch]) -> dict[str, float]:
        """Make one update of flow matching on all feeds together."""
        del phase
        samples = [sample_of(batch, self.engine) for batch in batches.values()]
        what = ' and '.join(name_of(batch, step) for batch in batches.values())
        return self._actor.imitate(samples, self.engine.generator(self.seed, step), what)

    def start_from(self, policy: FlowPolicy) -> None:
        """Go on from a policy that was trained before."""
        self.fitted = True
        self._actor.restart(policy, self.config.updates)

    def freeze_backbone(self, frozen: bool) -> None:
        """Keep the policy's backbone as it is from now on, or train it again."""
        self._actor.freeze_backbone(frozen)

    def fit(self, batch: Batch) -> None:
        """Fit the normalisation."""
        self.fitted = True
        self._actor.fit(batch)

    def state(self) -> dict[str, Any]:
        """Return all that is needed to go on."""
        return {'actor': self._actor.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self.fitted = True
        self._actor.restore(state['actor'])
