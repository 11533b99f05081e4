# SPDX-License-Identifier: Apache-2.0
"""What several algorithms do alike: batches to tensors, and a policy with its optimiser."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from lwd_data.replay.batch import Batch, Observations
from lwd_learner.engine import Engine
from lwd_learner.errors import ConfigError, DataError
from lwd_learner.imitation import Sample, matching
from lwd_learner.optimise import Optimiser, OptimiserConfig, copy_weights, move_towards
from lwd_policy.config import PolicyConfig
from lwd_policy.observation import Observation, from_replay
from lwd_policy.policy import FlowPolicy


def name_of(batch: Batch, step: int) -> str:
    """Return which batch an update was about, for errors."""
    rows = ', '.join(f'{int(e)}:{int(t)}' for e, t in zip(batch.episode[:4], batch.step[:4]))
    return f'update {step} (windows episode:step {rows}, ...)'


def sample_of(batch: Batch, engine: Engine) -> Sample:
    """Return a batch's observations and chunks on the device.

    Raises:
        DataError: A state or a command is not finite.
    """
    for what, values in (('a state', batch.observation.state), ('a command', batch.chunk),
                         ('a last command', batch.observation.sent)):
        bad = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
        if bad.any():
            row = int(np.argmax(bad))
            raise DataError(
                f'{what} of episode {int(batch.episode[row])}, window at step '
                f'{int(batch.step[row])}, is not finite')
    return Sample(observation_of(batch, batch.observation, engine),
                  torch.from_numpy(batch.chunk).to(engine.device))


def observation_of(batch: Batch, observations: Observations, engine: Engine) -> Observation:
    """Return observations of a batch on the device."""
    return from_replay(observations, batch.instructions).to(engine.device)


def _check_same(given: PolicyConfig, wanted: PolicyConfig) -> None:
    """Refuse a policy to begin from whose networks are not those of the settings."""
    has, asked = given.as_dict(), wanted.as_dict()
    other = [name for name in has if has[name] != asked[name]]
    if other:
        said = '; '.join(f'{name} {has[name]}, the settings {asked[name]}' for name in other)
        remedy = ' '.join(f'policy.{name}={has[name]}' for name in other)
        raise ConfigError(
            f'the policy to begin from does not fit the settings: it has {said}. Set {remedy}, '
            'or begin from another')


class TrainedPolicy:
    """A policy that is trained, its moving average, and its optimiser."""

    def __init__(
        self, config: PolicyConfig, optimiser: OptimiserConfig, engine: Engine, *, seed: int,
        ema: float = 0.005, total: int = 0,
    ) -> None:
        """Build one with random weights.

        Args:
            config: Of the policy.
            optimiser: Of its training.
            engine: Where it is trained.
            seed: Of the random weights.
            ema: Part of the way that the average goes in an update.
            total: Updates of the cosine; 0 keeps the rate constant.
        """
        torch.manual_seed(seed)
        self.engine, self.ema, self.frozen = engine, ema, False
        self.network = FlowPolicy(config).to(engine.device)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.trained = engine.wrap(self.network)
        engine.spread(self.average)
        self._config = optimiser
        self.optimiser = Optimiser(self.network, optimiser, total)

    def fit(self, batch: Batch) -> None:
        """Fit the normalisation."""
        seen = batch.observation
        for network in (self.network, self.average):
            network.fit(batch.chunk, seen.state, seen.sent)

    def restart(self, source: FlowPolicy, total: int = 0) -> None:
        """Take a policy's weights and normalisation; the optimiser begins anew.

        Raises:
            ConfigError: The policy is built otherwise than this one.
        """
        _check_same(source.config, self.network.config)
        copy_weights(self.network, source)
        copy_weights(self.average, source)
        self._settle()
        self.optimiser = Optimiser(self.network, self._config, total)

    def freeze_backbone(self, frozen: bool) -> None:
        """Keep the backbone as it is from now on, or train it again.

        A network goes on from its average then: the expert must be trained for the contexts that
        the published policy computes.
        """
        if frozen == self.frozen:
            return
        self.frozen = frozen
        if frozen:
            copy_weights(self.network, self.average)
        self._settle()
        count, total = self.optimiser.count, self.optimiser.total
        self.optimiser = Optimiser(self.network, self._config, total)
        self.optimiser.count = count

    def _settle(self) -> None:
        """Let weights that were loaded, or frozen, be treated as such."""
        self.network.backbone.requires_grad_(not self.frozen)
        for network in (self.network, self.average):
            if self.frozen:
                network.backbone.seal()
            else:
                network.backbone.unseal()

    def use(self, config: OptimiserConfig) -> None:
        """Go on at a constant rate with another optimiser's settings, if they are others."""
        if config != self._config:
            self._config = config
            self.optimiser = Optimiser(self.network, config)

    def average_moves(self) -> None:
        """Move the average; call after each update."""
        # Early on the average would still be mostly random weights: it follows faster.
        rate = max(self.ema, 1.0 / (self.optimiser.count + 1))
        move_towards(self.average, self.network, rate)

    def imitate(
        self, samples: Sequence[Sample], generator: torch.Generator, what: str,
    ) -> dict[str, float]:
        """Make one update of flow matching on samples of one or more feeds; each row counts."""
        rows = sum(len(sample.chunk) for sample in samples)
        loss = torch.zeros((), device=self.engine.device)
        for sample in samples:
            loss = loss + matching(
                self.network, self.trained, sample, self.engine, generator).sum() / rows
        norm = self.optimiser.step(loss, f'imitation at {what}')
        self.average_moves()
        return {'loss/imitation': self.engine.mean(loss), 'grad/imitation': norm,
                'rate/imitation': self.optimiser.rate()}

    def state(self) -> dict[str, Any]:
        """Return what is to be restored."""
        return {'network': self.network.state_dict(), 'average': self.average.state_dict(),
                'optimiser': self.optimiser.state(), 'config': asdict(self._config),
                'frozen': self.frozen}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self.network.load_state_dict(state['network'])
        self.average.load_state_dict(state['average'])
        self.frozen = state.get('frozen', False)
        self._settle()
        self._config = OptimiserConfig(**state['config'])
        self.optimiser = Optimiser(
            self.network, self._config, state['optimiser']['total'])
        self.optimiser.restore(state['optimiser'])
