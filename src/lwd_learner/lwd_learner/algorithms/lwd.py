# SPDX-License-Identifier: Apache-2.0
"""LWD: DIVL for the critic, QAM for the actor.

Offline: a reference by behaviour cloning; the critic with the long n, and, if that is asked for,
with the short one behind it, which removes the bias of off-policy returns; then, once the critic
is shown to rank chunks, the actor, with the critic going on. Online: rounds of critic, then both;
the reference stays frozen as in the paper, or is refreshed on demonstrations and corrections
before the actor is extracted from it anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lwd_data.replay.batch import Batch
from lwd_learner.algorithms.base import Facts, Feed, Human, Phase
from lwd_learner.algorithms.common import (
    TrainedPolicy,
    name_of,
    observation_of,
    sample_of,
)
from lwd_learner.engine import Engine
from lwd_learner.errors import ConfigError
from lwd_learner.extraction import Extractor, QamConfig
from lwd_learner.optimise import OptimiserConfig
from lwd_learner.td import Stage, TdConfig, outcomes, returns
from lwd_learner.value_learning import ValueConfig, ValueLearner
from lwd_policy.config import PolicyConfig
from lwd_policy.critic import Critic
from lwd_policy.policy import FlowPolicy
from lwd_policy.runtime import RuntimeConfig

_CHECK_EVERY = 10
"""Updates between two looks at the critic's errors."""


@dataclass(frozen=True)
class LwdConfig:
    """Of the method."""

    reference_updates: int = 6000
    """Behaviour cloning of the reference, unless it is given."""
    critic_updates: int = 3300
    """Of the critic alone, with the long n."""
    settle_updates: int = 0
    """Of the critic alone after that, with the short n, which the actor's phase then has, too. On
    the simulated G1 it forgets with it what it knew (docs/learner.md)."""
    critic_encoder: Literal['reference', 'fixed', 'own'] = 'reference'
    """What a critic sees a scene with: the reference's backbone, trained on; the same, fixed; or
    an encoder that is its own from the beginning."""
    actor_updates: int = 500
    """Of actor and critic."""
    online_critic_updates: int = 350
    """Of the critic alone, in each round online."""
    online_updates: int = 120
    """Of actor and critic, in each round online."""
    reference: Literal['frozen', 'refreshed'] = 'refreshed'
    """The paper's reference is frozen; one that is refreshed on corrections did better."""
    refresh_updates: int = 120
    """Of the reference, in each round online, if it is refreshed."""
    refresh_on: Human = 'rescues'
    """What of humans it is refreshed on; see hg_dagger.learn_from."""
    batch_size: int = 256
    """Windows of a critic's update, and of behaviour cloning."""
    held_out_size: int = 64
    """Windows of episodes that the critic is not trained on, one in twenty, to measure it on; 0
    trains it on all."""
    actor_batch_size: int = 96
    """States of an actor's update."""
    value: ValueConfig = field(default_factory=ValueConfig)
    qam: QamConfig = field(default_factory=QamConfig)
    td: TdConfig = field(default_factory=TdConfig)
    reference_optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(rate=3e-3, warmup=200, decay_to=0.02))
    refresh_optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(rate=5e-5, warmup=20, decay_to=1.0))
    actor_optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(rate=2e-5, decay_to=0.3))
    reference_ema: float = 0.005
    actor_ema: float = 0.02
    """Part of the way that the published average goes in an update."""

    def __post_init__(self) -> None:
        if self.reference not in ('frozen', 'refreshed'):
            raise ConfigError(f'lwd.reference is {self.reference!r}; known: frozen, refreshed')
        if self.critic_encoder not in ('reference', 'fixed', 'own'):
            raise ConfigError(f'lwd.critic_encoder is {self.critic_encoder!r}; known: reference, '
                              'fixed, own')


class Lwd:
    """DIVL and QAM."""

    name = 'lwd'

    def __init__(
        self, config: LwdConfig, policy: PolicyConfig, engine: Engine, *, seed: int = 0,
    ) -> None:
        """Build it with random weights."""
        self.config, self.engine, self.seed = config, engine, seed
        self.reference = TrainedPolicy(
            policy, config.reference_optimiser, engine, seed=seed, ema=config.reference_ema,
            total=config.reference_updates)
        self._actor = TrainedPolicy(
            policy, config.actor_optimiser, engine, seed=seed, ema=config.actor_ema,
            total=config.actor_updates)
        total = config.critic_updates + config.settle_updates + config.actor_updates
        self.values = ValueLearner(config.value, policy, engine, total,
                                   fixed_encoder=config.critic_encoder == 'fixed')
        self.extractor = Extractor(config.qam, engine)
        self.fitted = False
        self.runtime = RuntimeConfig()
        self._has_reference = False
        self._has_critic = False
        self._extracted = False

    @property
    def policy(self) -> FlowPolicy:
        """The actor's moving average; the reference's until there is an actor."""
        return self._actor.average if self._extracted else self.reference.average

    @property
    def critic(self) -> Critic:
        """The critic, for best-of-n and for looking at values."""
        return self.values.target

    def phases(self, stage: Stage, facts: Facts) -> list[Phase]:
        """Return reference, critic and actor offline; a round of them online."""
        config = self.config
        size = config.batch_size

        def critic(n_steps: Mapping[str, int]) -> dict[str, Feed]:
            if not (facts.held_out and config.held_out_size):
                return {'all': Feed('all', size, n_steps)}
            return {'all': Feed('seen', size, n_steps),
                    'held_out': Feed('held_out', config.held_out_size, every=_CHECK_EVERY)}

        if stage == 'offline':
            long = config.td.n_steps(facts.chunks, 'offline')
            short = config.td.n_steps(facts.chunks, 'offline', settle=True)
            last = short if config.settle_updates else long
            # Without empty ones: a gate that stays shut repeats the phase before it.
            found = [phase for phase in (
                Phase('critic', config.critic_updates, critic(long)),
                Phase('settle', config.settle_updates, critic(short))) if phase.updates]
            found.append(Phase('actor', config.actor_updates, {
                **critic(last), 'states': Feed('all', config.actor_batch_size)}, gated=True))
            if not self._has_reference:
                found.insert(0, Phase('reference', config.reference_updates,
                                      {'good': Feed('good', size)}))
            return found
        fleet = critic(config.td.n_steps(facts.chunks, 'online'))
        found = [
            Phase('online-critic', config.online_critic_updates, fleet),
            Phase('online-actor', config.online_updates, {
                **fleet,
                'states': Feed('all', config.actor_batch_size, contexts=True)})]
        if config.reference == 'refreshed' and facts.human[config.refresh_on]:
            found.insert(0, Phase('refresh', config.refresh_updates, {
                'good': Feed('good', size - size // 2, online_ratio=0.0, contexts=True),
                config.refresh_on: Feed(config.refresh_on, size // 2, contexts=True)}))
        return found

    def begin(self, phase: Phase) -> None:
        """Let critic and actor begin where the reference is."""
        if phase.name == 'refresh':
            self.reference.use(self.config.refresh_optimiser)
        elif phase.name != 'reference' and not self._has_critic:
            self._has_critic = True
            if self.config.critic_encoder != 'own':
                self.values.look_as(self.reference.average)
        if phase.name == 'actor':
            self._actor.restart(self.reference.average, phase.updates)
            self._extracted = True
        if phase.name == 'online-actor':
            if self.config.reference == 'refreshed' or not self._extracted:
                self._actor.restart(self.reference.average, phase.updates)
            self._extracted = True

    def update(self, phase: Phase, step: int, batches: Mapping[str, Batch]) -> dict[str, float]:
        """Make one update: V, then Q, then the target's average, then the actor."""
        engine = self.engine
        generator = engine.generator(self.seed, step)
        if phase.name in ('reference', 'refresh'):
            what = ' and '.join(name_of(batch, step) for batch in batches.values())
            samples = [sample_of(batch, engine) for batch in batches.values()]
            return self.reference.imitate(samples, generator, what)
        batch = batches['all']
        returned = returns(batch, self.config.td).to(engine.device)
        found = self.values.update(
            sample_of(batch, engine), observation_of(batch, batch.next_observation, engine),
            returned, online=phase.name.startswith('online'), generator=generator,
            what=name_of(batch, step))
        if 'held_out' in batches:
            found |= self._errors({'seen': batch, 'held_out': batches['held_out']})
        if 'states' in batches:
            states = batches['states']
            found |= self.extractor.update(
                self._actor.network, self._actor.trained, self.reference.average, self.critic,
                observation_of(states, states.observation, engine), self._actor.optimiser,
                generator, name_of(states, step))
            self._actor.average_moves()
        return found

    def _errors(self, batches: Mapping[str, Batch]) -> dict[str, float]:
        """Return how far Q is from what came, where it was trained and where it was not."""
        found: dict[str, float] = {}
        for name, batch in batches.items():
            errors = self.values.errors(
                sample_of(batch, self.engine),
                outcomes(batch, self.config.td).to(self.engine.device))
            if errors is not None:
                found |= dict(zip((f'error/{name}', f'error/variance_{name}'), errors))
        return found

    def start_from(self, policy: FlowPolicy) -> None:
        """Take a trained policy as the reference."""
        self.fitted = True
        self.reference.restart(policy)
        self._actor.restart(policy, self.config.actor_updates)
        self.values.adopt(policy)
        self._has_reference = True

    def adopt_critic(self, critic: Critic) -> None:
        """Take over a critic that was trained before; after `start_from`."""
        self.values.start_from(critic)
        self._has_critic = True

    def freeze_backbone(self, frozen: bool) -> None:
        """Keep the policy's backbone as it is from now on, or train it again."""
        self.reference.freeze_backbone(frozen)
        self._actor.freeze_backbone(frozen)

    def fit(self, batch: Batch) -> None:
        """Fit the normalisation of all networks."""
        self.fitted = True
        self.reference.fit(batch)
        self._actor.fit(batch)
        self.values.fit(batch)

    def state(self) -> dict[str, Any]:
        """Return all that is needed to go on."""
        return {'reference': self.reference.state(), 'actor': self._actor.state(),
                'values': self.values.state(), 'extractor': self.extractor.state(),
                'has_reference': self._has_reference, 'has_critic': self._has_critic,
                'extracted': self._extracted}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self.fitted = True
        self.reference.restore(state['reference'])
        self._actor.restore(state['actor'])
        self.values.restore(state['values'])
        self.extractor.restore(state['extractor'])
        self._has_reference, self._extracted = state['has_reference'], state['extracted']
        # A run from before critics began like their reference has one of its own.
        self._has_critic = state.get('has_critic', True)
