# SPDX-License-Identifier: Apache-2.0
"""SFT: behaviour cloning by flow matching, of demonstrations and successes, or of all there is.

Online it goes on with the fleet's own successes (filtered behaviour cloning).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lwd_data.replay.batch import Batch
from lwd_learner.algorithms.base import Facts, Feed, Phase, Windows
from lwd_learner.algorithms.common import TrainedPolicy, name_of, sample_of
from lwd_learner.engine import Engine
from lwd_learner.errors import ConfigError
from lwd_learner.optimise import OptimiserConfig
from lwd_learner.td import Stage
from lwd_policy.config import PolicyConfig
from lwd_policy.policy import FlowPolicy
from lwd_policy.runtime import RuntimeConfig


@dataclass(frozen=True)
class SftConfig:
    """Of behaviour cloning."""

    updates: int = 6000
    """Offline."""
    online_updates: int = 120
    """In each round online."""
    windows: Windows = 'good'
    """Offline: good imitates demonstrations and what succeeded, all whatever anybody did. Online
    it is always good; corrections are for hg_dagger."""
    online_ratio: float = 0.5
    """Part of a batch from the fleet, where there is an offline pool, too."""
    batch_size: int = 256
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(
        rate=3e-3, warmup=200, decay_to=0.02))
    online_optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(rate=5e-5, warmup=20, decay_to=1.0))
    ema: float = 0.005
    """Part of the way that the published average goes in an update."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.online_ratio <= 1.0:
            raise ConfigError(
                f'sft.online_ratio is {self.online_ratio}; it must be in 0 .. 1')


class Sft:
    """Behaviour cloning."""

    name = 'sft'

    def __init__(
        self, config: SftConfig, policy: PolicyConfig, engine: Engine, *, seed: int = 0,
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
        del facts
        config, offline = self.config, stage == 'offline'
        windows = config.windows if offline else 'good'
        return [Phase(f'imitation-{stage}', config.updates if offline else config.online_updates,
                      {windows: Feed(windows, config.batch_size,
                                     online_ratio=config.online_ratio, contexts=True)})]

    def begin(self, phase: Phase) -> None:
        """Take the optimiser of the stage."""
        if phase.name.endswith('online'):
            self._actor.use(self.config.online_optimiser)

    def update(self, phase: Phase, step: int, batches: Mapping[str, Batch]) -> dict[str, float]:
        """Make one update of flow matching."""
        del phase
        batch, = batches.values()
        return self._actor.imitate([sample_of(batch, self.engine)],
                                   self.engine.generator(self.seed, step), name_of(batch, step))

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
