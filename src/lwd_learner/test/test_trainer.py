# SPDX-License-Identifier: Apache-2.0
"""The trainer with every algorithm: stages, checkpoints, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small import CONFIG, NAMES, Replay
from small import make_trainer as _trainer
from small import same as _same
from small import weights_of as _weights

from lwd_learner import checkpoint, metrics
from lwd_learner.errors import ConfigError, DivergedError, GateError
from lwd_learner.trainer import GateResult


@pytest.mark.parametrize('name', NAMES)
def test_each_algorithm_learns_offline_and_online(tmp_path, name):
    trainer = _trainer(tmp_path, name)
    before = _weights(trainer)
    trainer.run(Replay(), 'offline')
    offline = _weights(trainer)
    assert not _same(before, offline)
    for number in range(2):
        trainer.run(Replay(corrections=50), 'online', number=number)
    assert not _same(offline, _weights(trainer))
    trainer.close()
    rows = metrics.read(tmp_path / metrics.FILE)
    losses = [value for row in rows for key, value in row.items() if key.startswith('loss/')]
    assert losses
    assert np.all(np.isfinite(losses))


@pytest.mark.parametrize('name', NAMES)
def test_a_run_that_was_killed_resumes_to_the_same_numbers(tmp_path, name):
    whole = _trainer(tmp_path / 'whole', name)
    whole.run(Replay(), 'offline')
    whole.run(Replay(corrections=50), 'online')
    whole.close()

    class KilledError(Exception):
        pass

    for kill_at in (4, 5):
        def kill(progress, phase, kill_at=kill_at):
            if progress.step == kill_at:
                raise KilledError

        broken = _trainer(tmp_path / 'broken', name, on_update=kill)
        with pytest.raises(KilledError):
            broken.run(Replay(), 'offline')
        broken.close()
    resumed = _trainer(tmp_path / 'broken', name)
    assert resumed.progress.step in (2, 3, 4, 5)
    resumed.run(Replay(), 'offline')
    resumed.run(Replay(corrections=50), 'online')
    resumed.close()
    assert _same(_weights(whole), _weights(resumed))
    lines = [
        [{key: value for key, value in row.items() if key != 'seconds'}
         for row in metrics.read(tmp_path / name / metrics.FILE) if row['phase'] != 'data']
        for name in ('whole', 'broken')]
    assert lines[0][-1] == lines[1][-1]


def test_a_finished_stage_is_not_repeated(tmp_path):
    trainer = _trainer(tmp_path, 'sft')
    trainer.run(Replay(), 'offline')
    step = trainer.progress.step
    trainer.run(Replay(), 'offline')
    assert trainer.progress.step == step
    trainer.run(Replay(), 'online', number=0)
    trainer.run(Replay(), 'online', number=0)
    assert trainer.progress.step == step + CONFIG.sft.online_updates


def test_seeds_differ(tmp_path):
    found = []
    for seed in (0, 1):
        trainer = _trainer(tmp_path / str(seed), 'sft', seed=seed)
        trainer.run(Replay(), 'offline')
        found.append(_weights(trainer))
    assert not _same(*found)


def test_the_actor_waits_for_the_gate(tmp_path):
    asked, said = [], []

    def gate(algorithm):
        asked.append(algorithm.policy)
        return GateResult(len(asked) == 2, 'tried', {'gate/plain': 0.5})

    trainer = _trainer(tmp_path, gate=gate, say=said.append)
    trainer.run(Replay(), 'offline')
    assert len(asked) == 2
    # Refused once, the critic is trained on: the phase before runs twice.
    assert sum('settle' in text and 'updates' in text for text in said) == 2
    assert any('NOT passed' in text for text in said)
    assert trainer.algorithm.policy is not trainer.algorithm.reference.average


def test_a_gate_that_stays_shut_leaves_the_reference(tmp_path):
    trainer = _trainer(tmp_path, gate=lambda _: GateResult(False, 'no', {}))
    with pytest.raises(GateError, match='does not rank chunks after 2 retries'):
        trainer.run(Replay(), 'offline')
    assert trainer.algorithm.policy is trainer.algorithm.reference.average


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_batch(tmp_path):
    class Bad(Replay):
        def sampler(self, feed):
            inner = super().sampler(feed)

            class Poisoned:
                def batch(self, step):
                    batch = inner.batch(step)
                    if step == 4:
                        batch.observation.scene[0, 40] = 1e38
                        batch.observation.scene[0, 19:25] = np.inf
                    return batch
            return Poisoned()

    trainer = _trainer(tmp_path, 'sft')
    with pytest.raises(DivergedError, match='update 4') as error:
        trainer.run(Bad(), 'offline')
    assert 'windows episode:step 0:16' in str(error.value)
    state = checkpoint.load(tmp_path)
    network = state['state']['actor']['network']
    assert all(torch.isfinite(value).all() for value in network.values())


def test_a_run_of_another_algorithm_is_refused(tmp_path):
    trainer = _trainer(tmp_path, 'sft')
    trainer.run(Replay(), 'offline')
    with pytest.raises(ConfigError, match='holds a run of sft, not of hg_dagger'):
        _trainer(tmp_path, 'hg_dagger')


@pytest.mark.parametrize('damage', ['cut', 'foreign', 'version'])
def test_a_damaged_checkpoint_is_refused(tmp_path, damage):
    path = tmp_path / checkpoint.FILE
    checkpoint.save(tmp_path, {'algorithm': 'sft', 'values': torch.zeros(1000)})
    if damage == 'cut':
        path.write_bytes(path.read_bytes()[:500])
    elif damage == 'foreign':
        path.write_bytes(b'something else')
    else:
        torch.save({'version': 99}, path)
    with pytest.raises(checkpoint.CheckpointError, match=checkpoint.FILE):
        checkpoint.load(tmp_path)


def test_metrics_after_the_checkpoint_are_taken_away(tmp_path):
    written = metrics.Metrics(tmp_path, tensorboard=False)
    for step in range(5):
        written.note(step, 'x', {'loss/a': float(step)})
    written.close()
    with (tmp_path / metrics.FILE).open('a') as file:
        file.write('{"step": 5, "pha')
    again = metrics.Metrics(tmp_path, from_step=3, tensorboard=False)
    again.note(3, 'y', {'loss/a': 7.0})
    again.close()
    rows = metrics.read(tmp_path / metrics.FILE)
    found = [(row['step'], row['loss/a']) for row in rows]
    assert found == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 7.0)]
