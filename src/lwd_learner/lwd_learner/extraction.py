# SPDX-License-Identifier: Apache-2.0
"""One update of the actor by QAM."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lwd_learner import qam
from lwd_learner.chains import Form
from lwd_learner.engine import Engine
from lwd_learner.errors import ConfigError
from lwd_learner.optimise import Optimiser
from lwd_learner.temperature import Temperature, TemperatureConfig
from lwd_policy import flow
from lwd_policy.critic import Critic, pessimistic
from lwd_policy.observation import Observation
from lwd_policy.policy import FlowPolicy


@dataclass(frozen=True)
class QamConfig:
    """Of policy extraction."""

    path: qam.Path = 'policy'
    """Whose flow is rolled out: the policy's, or the reference's (ablation)."""
    steps: int = flow.STEPS
    """N of the flow; fewer than ten are too coarse."""
    shrink: float = flow.SHRINK
    """Each step is so many times as long as the one before."""
    form: Form = 'ancestral'
    """Of the chain that the flow is rolled out by: see qam.py."""
    levels: int = 4
    """Of the N noise levels, how many each sample is regressed at."""
    spread_samples: int = 6
    """Chunks of the reference that sigma_Q is estimated from, in each state."""
    spread_every: int = 10
    """Updates between two estimates of sigma_Q."""
    temperature: TemperatureConfig = field(default_factory=TemperatureConfig)

    def __post_init__(self) -> None:
        if self.path not in ('policy', 'reference'):
            raise ConfigError(f'qam.path is {self.path!r}; known: policy, reference')
        if self.form not in ('ancestral', 'euler'):
            raise ConfigError(f'qam.form is {self.form!r}; known: ancestral, euler')
        if not 0.0 < self.shrink <= 1.0:
            raise ConfigError(f'qam.shrink is {self.shrink}; it must be above 0, at most 1')
        if self.steps < 2 or self.levels < 1 or self.spread_samples < 2:
            raise ConfigError(
                f'qam: steps {self.steps} and spread_samples {self.spread_samples} must be at '
                f'least 2, levels {self.levels} at least 1')


class Extractor:
    """Moves a policy towards the tilt of its reference."""

    def __init__(self, config: QamConfig, engine: Engine) -> None:
        """Begin with an unknown temperature."""
        self.config, self.engine = config, engine
        self.temperature = Temperature(config.temperature)
        self._count = 0
        self._square = 0.0

    def update(
        self, policy: FlowPolicy, trained: Any, reference: FlowPolicy, critic: Critic,
        observation: Observation, optimiser: Optimiser, generator: torch.Generator, what: str,
    ) -> dict[str, float]:
        """Make one update; the critic is not changed by it."""
        engine, config = self.engine, self.config
        shape = (len(observation), *policy.config.shape)
        with torch.no_grad(), engine.autocast():
            context = policy.context(observation)
            anchor = reference.context(observation)
            state = critic.state(observation)
        if self._count % config.spread_every == 0:
            self._square = engine.mean(self._spread(
                reference, anchor, critic, observation, generator))
        self._count += 1
        noise = engine.normal(shape, generator)
        diffusion = engine.normal((config.steps, *shape), generator, batch=1)

        def of(network: FlowPolicy, given: Tensor) -> flow.Velocity:
            # In full precision: what counts is how far two velocities are apart, and bf16's
            # rounding alone is worth a nat over a path.
            def velocity(actions: Tensor, level: Tensor) -> Tensor:
                return network.velocity(given.float(), actions, level)
            return velocity

        def value(actions: Tensor) -> Tensor:
            return pessimistic(critic.qs(state, actions))

        rolled = qam.rollout(
            of(policy, context), of(reference, anchor), value, noise, 1.0,
            path=config.path, steps=config.steps, shrink=config.shrink,
            form=config.form, diffusion=diffusion)
        self.temperature.observe_asked(
            engine.mean(rolled.asked.clamp(min=1e-12).log().mean()))
        temperature = self.temperature.value
        rolled = rolled.tempered(temperature, self.temperature.largest)
        k = self._levels(len(observation), generator)
        points = qam.at_levels(rolled.points, k)
        velocity = trained(observation, points, points.new_tensor(rolled.chain.times)[k])
        each = qam.loss(rolled, k, velocity)
        # Where the reference itself goes astray (one state in a hundred, of failed episodes) its
        # paths leave everything that was ever learned, and a few would outweigh all others.
        most = 2.0 * self.temperature.largest
        loss = (each * (most / each.detach()).clamp(max=1.0)).mean()
        norm = optimiser.step(loss, f'the actor at {what}')
        kl = engine.mean(rolled.kl.clamp(max=self.temperature.largest).mean())
        if config.path == 'policy':
            self.temperature.observe_kl(kl)
        return {
            'loss/actor': engine.mean(loss), 'actor/kl': kl, 'actor/lambda': temperature,
            'actor/kl_asked': engine.mean(rolled.asked.mean()),
            'actor/spread': math.sqrt(self._square),
            'actor/q': engine.mean(rolled.value.mean()),
            'actor/adjoint': engine.mean(rolled.adjoints[0].flatten(1).norm(dim=1).mean()),
            'actor/q_gradient': engine.mean(rolled.gradient.flatten(1).norm(dim=1).mean()),
            'grad/actor': norm, 'rate/actor': optimiser.rate()}

    def _levels(self, count: int, generator: torch.Generator) -> Tensor:
        order = self.engine.uniform((count, self.config.steps), generator).argsort(dim=1)
        return order[:, :min(self.config.levels, self.config.steps)]

    @torch.no_grad()
    def _spread(
        self, reference: FlowPolicy, anchor: Tensor, critic: Critic, observation: Observation,
        generator: torch.Generator,
    ) -> float:
        """Return the mean, over states, of Q's variance within one."""
        drawn = draw_chunks(reference, anchor, self.config.spread_samples, self.engine, generator,
                            self.config.steps, self.config.shrink)
        return float(critic.rank(observation, drawn).var(dim=1).mean())

    def state(self) -> dict[str, Any]:
        """Return what is to be restored."""
        return {'temperature': self.temperature.state(), 'count': self._count,
                'square': self._square}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self.temperature.restore(state['temperature'])
        self._count, self._square = state['count'], state['square']


def draw_chunks(
    policy: FlowPolicy, context: Tensor, count: int, engine: Engine, generator: torch.Generator,
    steps: int = flow.STEPS, shrink: float = flow.SHRINK,
) -> Tensor:
    """Return `count` chunks in each context, (B, count, K, D), as the networks see them."""
    noise = engine.normal((len(context), count, *policy.config.shape), generator)
    repeated = context.repeat_interleave(count, dim=0)
    with torch.no_grad(), engine.autocast():
        drawn = flow.integrate(
            lambda a, w: policy.velocity(repeated, a, w).float(), noise.flatten(0, 1), steps,
            shrink=shrink)
    return drawn.unflatten(0, (len(context), count))
