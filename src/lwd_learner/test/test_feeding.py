# SPDX-License-Identifier: Apache-2.0
"""Batches that are read ahead, the backbone that is frozen online, and contexts that are kept."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import torch
from small import CONFIG, NAMES, Replay
from small import make_trainer as _trainer
from small import same as _same
from small import weights_of as _weights

from lwd_data.errors import SampleError
from lwd_learner.algorithms.common import observation_of
from lwd_policy.observation import Kept


@pytest.mark.parametrize('name', ['sft', 'lwd'])
def test_reading_ahead_changes_no_number(tmp_path, name):
    found = []
    for ahead in (0, 1, 5):
        config = replace(CONFIG, trainer=replace(CONFIG.trainer, prefetch=ahead))
        trainer = _trainer(tmp_path / str(ahead), name, config=config)
        trainer.run(Replay(), 'offline')
        trainer.close()
        found.append(_weights(trainer))
    assert _same(found[0], found[1])
    assert _same(found[0], found[2])


def test_reading_ahead_asks_for_each_batch_once_and_for_none_behind_the_phase(tmp_path):
    asked = []

    class Counted(Replay):
        def sampler(self, feed):
            inner = super().sampler(feed)

            class Sampler:
                def batch(self, step):
                    asked.append(step)
                    return inner.batch(step)
            return Sampler()

    trainer = _trainer(tmp_path, 'sft')
    trainer.run(Counted(), 'offline')
    assert asked == list(range(CONFIG.sft.updates))


def test_what_is_only_looked_at_is_read_in_one_update_of_ten(tmp_path):
    asked = {'seen': [], 'held_out': [], 'all': [], 'good': []}

    class Counted(Replay):
        @property
        def facts(self):
            return replace(super().facts, held_out=100)

        def sampler(self, feed):
            inner = super().sampler(feed)

            class Sampler:
                def batch(self, step):
                    asked[feed.windows].append(step)
                    return inner.batch(step)
            return Sampler()

    critic = replace(CONFIG.lwd, critic_updates=25, settle_updates=0, actor_updates=0)
    trainer = _trainer(tmp_path, 'lwd', config=replace(CONFIG, lwd=critic))
    trainer.run(Counted(), 'offline')
    assert len(asked['seen']) == 25
    assert asked['held_out'] == [step for step in asked['seen'] if step % 10 == 0]


def test_an_error_of_reading_ahead_ends_the_run_and_names_the_batch(tmp_path):
    class Broken(Replay):
        def sampler(self, feed):
            class Sampler:
                def batch(self, step):
                    if step == 4:
                        raise SampleError('the bag is gone')
                    return Replay.sampler(self, feed).batch(step)
            Sampler.rank, Sampler.world_size = 0, 1
            return Sampler()

    trainer = _trainer(tmp_path, 'sft')
    with pytest.raises(SampleError, match='batch of step 4 cannot be made: the bag is gone'):
        trainer.run(Broken(), 'offline')
    assert trainer.progress.step == 4
    assert not [one for one in threading.enumerate() if one.name.startswith('prefetch')]


def _backbone(weights):
    return {name: value for name, value in weights.items() if name.startswith('backbone.')}


@pytest.mark.parametrize('name', NAMES)
def test_the_backbone_is_frozen_online_unless_it_is_to_be_trained(tmp_path, name):
    for frozen in (True, False):
        config = replace(CONFIG, trainer=replace(
            CONFIG.trainer, freeze_backbone_online=frozen))
        trainer = _trainer(tmp_path / str(frozen), name, config=config)
        trainer.run(Replay(), 'offline')
        # What the first round begins from: LWD's online reference goes on from the reference.
        base = getattr(trainer.algorithm, 'reference', None)
        before = (trainer.algorithm.policy if base is None else base.average).state_dict()
        before = {key: value.clone() for key, value in before.items()}
        for number in range(2):
            trainer.run(Replay(corrections=50), 'online', number=number)
        trainer.close()
        after = _weights(trainer)
        assert _same(_backbone(before), _backbone(after)) == frozen
        expert = [key for key in after if key.startswith('expert.')]
        assert not any(torch.equal(before[key], after[key]) for key in expert)


def test_the_critics_encoder_goes_on_learning(tmp_path):
    trainer = _trainer(tmp_path)
    trainer.run(Replay(), 'offline')
    before = {key: value.clone() for key, value in trainer.algorithm.critic.state_dict().items()}
    trainer.run(Replay(), 'online')
    after = trainer.algorithm.critic.state_dict()
    assert not torch.equal(before['encoder.mix.0.weight'], after['encoder.mix.0.weight'])


def test_kept_contexts_serve_the_backbone_that_made_them_and_no_other(tmp_path):
    trainer = _trainer(tmp_path, 'sft')
    trainer.run(Replay(), 'offline')
    trainer.run(Replay(), 'online')
    policy = trainer.algorithm.policy
    seen = observation_of(Replay().sample(8), Replay().sample(8).observation, trainer.engine)
    wanted = policy.context(seen)
    other = torch.full_like(wanted, 7.0)
    assert policy.backbone.identity
    assert torch.equal(policy.context(replace(
        seen, kept=Kept(policy.backbone.identity, other))), other)
    assert torch.equal(policy.context(replace(seen, kept=Kept('another', other))), wanted)
    # As soon as the weights may be others, nobody trusts what was kept.
    kept = replace(seen, kept=Kept(policy.backbone.identity, other))
    policy.load_state_dict(policy.state_dict())
    assert torch.equal(policy.context(kept), wanted)
