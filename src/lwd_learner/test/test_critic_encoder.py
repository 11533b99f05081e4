# SPDX-License-Identifier: Apache-2.0
"""What a critic sees a scene with: the reference's backbone, or an encoder of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small import CONFIG, Replay, make_trainer

from lwd_learner.algorithms.lwd import LwdConfig
from lwd_learner.errors import ConfigError


def _look(network, prefix):
    """Return the weights that see; conditions are the policy's alone."""
    return {name.removeprefix(prefix): value for name, value in network.state_dict().items()
            if name.startswith(prefix) and 'condition' not in name}


def _same(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def _after(folder, encoder, *, critic):
    """Return an algorithm after its reference and so many updates of the critic."""
    lwd = replace(CONFIG.lwd, critic_encoder=encoder, critic_updates=critic, settle_updates=0,
                  actor_updates=0)
    trainer = make_trainer(folder, config=replace(CONFIG, lwd=lwd))
    trainer.run(Replay(), 'offline')
    trainer.close()
    return trainer.algorithm


@pytest.mark.parametrize('encoder', ['reference', 'fixed', 'own'])
def test_the_critic_looks_with_what_the_setting_says(tmp_path, encoder):
    algorithm = _after(tmp_path, encoder, critic=2)
    seen = _look(algorithm.reference.average, 'backbone.')
    learned, target = (_look(network, 'encoder.')
                       for network in (algorithm.values.critic, algorithm.values.target))
    assert _same(learned, seen) == (encoder == 'fixed')
    assert _same(target, seen) == (encoder == 'fixed')
    # The target has gone a hundredth of the way in two updates: it began as the reference, or not.
    apart = torch.stack([(target[name] - seen[name]).abs().max() for name in seen]).max()
    assert (apart > 0.01) == (encoder == 'own')


def test_the_reference_is_not_trained_with_the_critic(tmp_path):
    without = _after(tmp_path / 'without', 'reference', critic=0)
    with_critic = _after(tmp_path / 'with', 'reference', critic=3)
    assert _same(without.reference.average.state_dict(),
                 with_critic.reference.average.state_dict())


def test_a_critic_that_was_taken_over_keeps_its_own(tmp_path):
    lwd = replace(CONFIG.lwd, critic_encoder='fixed')
    given = make_trainer(tmp_path / 'given', seed=7).algorithm
    trainer = make_trainer(tmp_path / 'run', config=replace(CONFIG, lwd=lwd))
    trainer.algorithm.start_from(given.policy)
    trainer.algorithm.adopt_critic(given.critic)
    trainer.run(Replay(), 'offline')
    trainer.close()
    assert _same(_look(trainer.algorithm.values.critic, 'encoder.'),
                 _look(given.critic, 'encoder.'))


def test_an_encoder_that_is_not_known_is_refused():
    with pytest.raises(ConfigError, match=r"critic_encoder is 'eyes'; known: reference"):
        LwdConfig(critic_encoder='eyes')
