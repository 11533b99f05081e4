# SPDX-License-Identifier: Apache-2.0
"""One update of the critic: V, then Q, then the target's EMA.

V is DIVL's distribution, or IQL's expectile for the ablation; everything else is the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from lwd_data.replay.batch import Batch
from lwd_learner import divl, expectile
from lwd_learner.divl import DivlConfig
from lwd_learner.engine import Engine
from lwd_learner.errors import ConfigError
from lwd_learner.imitation import Sample
from lwd_learner.optimise import Optimiser, OptimiserConfig, copy_weights, move_towards
from lwd_learner.td import Returns
from lwd_policy.config import PolicyConfig
from lwd_policy.critic import Critic, CriticConfig, pessimistic
from lwd_policy.observation import Observation
from lwd_policy.policy import FlowPolicy


@dataclass(frozen=True)
class ValueConfig:
    """Of the critic and its learning."""

    value: Literal['divl', 'expectile'] = 'divl'
    """What V is."""
    divl: DivlConfig = field(default_factory=DivlConfig)
    critic: CriticConfig = field(default_factory=CriticConfig)
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(rate=5e-4))
    expectile_offline: float = 0.7
    """IQL's tau in the offline stage."""
    expectile_online: float = 0.9
    """IQL's tau in the online stage."""
    ema: float = 0.005
    """Part of the way that the target critic goes in an update."""
    shuffle_outcomes: bool = False
    """Negative control: targets of one window are given to another, so that the critic knows
    nothing; a method that still gains from it does not gain by its critic."""

    def __post_init__(self) -> None:
        if self.value not in ('divl', 'expectile'):
            raise ConfigError(f'value.value is {self.value!r}; known: divl, expectile')
        if not 0.0 < self.ema <= 1.0:
            raise ConfigError(f'value.ema is {self.ema}; it must be above 0, at most 1')


class ValueLearner:
    """The critic, its target and its optimiser."""

    def __init__(self, config: ValueConfig, policy: PolicyConfig, engine: Engine,
                 total: int = 0, *, fixed_encoder: bool = False) -> None:
        """Build the critic for a policy's observations and chunks; fit it before its first use.

        Args:
            config: Of the critic and its learning.
            policy: Whose observations and chunks it judges.
            engine: Where it is trained.
            total: Updates of the cosine; 0 keeps the rate constant.
            fixed_encoder: Whether its encoder stays as `look_as` leaves it.
        """
        self.config, self.engine = config, engine
        atoms = config.divl.atoms if config.value == 'divl' else 1
        sizes = CriticConfig(config.critic.encoding, config.critic.width, atoms,
                             config.critic.start)
        self.critic = Critic(sizes, policy).to(engine.device)
        self.critic.encoder.requires_grad_(not fixed_encoder)
        self.target = Critic(sizes, policy).to(engine.device).requires_grad_(False)
        copy_weights(self.target, self.critic)
        self.trained = engine.wrap(self.critic)
        engine.spread(self.target)
        self.optimiser = Optimiser(self.critic, config.optimiser, total)
        self.support = config.divl.support(engine.device)

    def update(
        self, sample: Sample, following: Observation, returned: Returns, *,
        online: bool, generator: torch.Generator, what: str,
    ) -> dict[str, float]:
        """Make one update.

        Args:
            sample: Windows' first observations and chunks.
            following: Observations after the windows' spans.
            returned: Rewards and discounts of the windows.
            online: Which tau_base holds.
            generator: Of this update.
            what: Which batch, for errors.

        Returns:
            Losses and what V and Q say.
        """
        config = self.config
        actions = self.critic.actions.encode(sample.chunk, sample.observation.sent)
        with torch.no_grad(), self.engine.autocast():
            qbar = pessimistic(self.target.qs(self.target.state(sample.observation), actions))
            ahead = self.critic.values(following).float()
        bootstrap, tau, spread = self._bootstrap(ahead, online)
        targets = returned.targets(bootstrap)
        if config.shuffle_outcomes:
            order = self.engine.uniform((len(targets),), generator).argsort()
            targets = targets[order]
        with self.engine.autocast():
            values, qs = self.trained(sample.observation, actions)
        values, qs, qbar = values.float(), qs.float(), qbar.float()
        if config.value == 'divl':
            value_loss = divl.loss(values, qbar, self.support).mean()
            mean = divl.mean(values.detach(), self.support)
        else:
            level = config.expectile_online if online else config.expectile_offline
            value_loss = expectile.loss(values[:, 0], qbar, level).mean()
            mean = values.detach()[:, 0]
        q_loss = (qs - targets).square().mean(dim=1).sum()
        norm = self.optimiser.step(value_loss + q_loss, f'the critic at {what}')
        move_towards(self.target, self.critic, config.ema)
        averages = {
            'loss/value': value_loss, 'loss/q': q_loss, 'value/mean': mean.mean(),
            'value/q': qs.mean(), 'value/target': targets.mean(),
            'value/bootstrap': bootstrap.mean(), 'value/tau': tau.mean(),
            'value/entropy': spread.mean(), 'value/twin_gap': (qs[0] - qs[1]).abs().mean()}
        found = {name: self.engine.mean(value) for name, value in averages.items()}
        found['value/tau_min'] = float(tau.min())
        found['value/tau_max'] = float(tau.max())
        found['grad/critic'] = norm
        found['rate/critic'] = self.optimiser.rate()
        return found

    def _bootstrap(
        self, ahead: torch.Tensor, online: bool,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        config = self.config
        if config.value == 'expectile':
            level = config.expectile_online if online else config.expectile_offline
            same = torch.full_like(ahead[:, 0], level)
            return ahead[:, 0], same, torch.zeros_like(same)
        base = config.divl.tau_online if online else config.divl.tau_offline
        found, tau = divl.bootstrap(ahead, base, self.support, config.divl)
        return found, tau, divl.entropy(ahead)

    def errors(self, sample: Sample, outcome: torch.Tensor) -> tuple[float, float] | None:
        """Return Q's mean squared error, and the variance of what it should be, if any is known.

        Args:
            sample: Windows.
            outcome: (B,) what came of them; NaN where that is not known yet.
        """
        known = self.engine.mean(outcome.isfinite().float().mean())
        if not known:
            return None
        actions = self.critic.actions.encode(sample.chunk, sample.observation.sent)
        with torch.no_grad(), self.engine.autocast():
            q = pessimistic(self.target.qs(self.target.state(sample.observation), actions))

        def mean(values: torch.Tensor) -> float:
            return self.engine.mean(values.nan_to_num(0.0).mean()) / known

        return (mean((q.float() - outcome).square()),
                mean((outcome - mean(outcome)).square()))

    def fit(self, batch: Batch) -> None:
        """Fit the normalisation."""
        seen = batch.observation
        for network in (self.critic, self.target):
            network.fit(batch.chunk, seen.state, seen.sent)

    def adopt(self, policy: FlowPolicy) -> None:
        """Take a policy's normalisation: both must mean the same by an action."""
        for network in (self.critic, self.target):
            network.actions.load_state_dict(policy.actions.state_dict())
            network.encoder.joints.load_state_dict(policy.backbone.joints.state_dict())

    def look_as(self, policy: FlowPolicy) -> None:
        """Begin with a policy's backbone for an encoder: what matters in a scene it knows already.

        Args:
            policy: With the same observations; its conditions are left out.
        """
        prefix = 'backbone.'
        seen = {f'encoder.{name.removeprefix(prefix)}': value
                for name, value in policy.state_dict().items()
                if name.startswith(prefix) and not name.startswith(f'{prefix}condition.')}
        for network in (self.critic, self.target):
            network.load_state_dict({**network.state_dict(), **seen})

    def start_from(self, critic: Critic) -> None:
        """Take over the weights of a critic that was trained before.

        Raises:
            ConfigError: It is of another size.
        """
        if critic.config != self.critic.config:
            raise ConfigError(
                f'the critic to begin from is {critic.config}; the settings ask for '
                f'{self.critic.config}')
        for network in (self.critic, self.target):
            copy_weights(network, critic)

    def expected(self, observation: Observation) -> torch.Tensor:
        """Return V's mean, (B,), of observations."""
        with torch.no_grad():
            out = self.critic.values(observation).float()
        return divl.mean(out, self.support) if self.config.value == 'divl' else out[:, 0]

    def state(self) -> dict[str, Any]:
        """Return what is to be restored."""
        return {'critic': self.critic.state_dict(), 'target': self.target.state_dict(),
                'optimiser': self.optimiser.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self.critic.load_state_dict(state['critic'])
        self.target.load_state_dict(state['target'])
        self.optimiser.restore(state['optimiser'])
