# SPDX-License-Identifier: Apache-2.0
"""What cannot be trained on is refused by file and field, before the first update."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from episodes import write_episode
from small import CONFIG

from lwd_data.errors import CatalogueError, IndexFileError
from lwd_data.replay.catalogue import Catalogue
from lwd_learner.data import Replay
from lwd_learner.engine import Engine
from lwd_learner.errors import ConfigError, DataError
from lwd_learner.trainer import Trainer
from lwd_learner.training import make_algorithm
from lwd_policy.errors import CardError, LayoutError, WeightsError
from lwd_policy.policy import FlowPolicy
from lwd_policy.runtime import RuntimeConfig
from lwd_policy.store import card_of, load_policy, save_policy


class _TrainedError(Exception):
    """An update was made."""


def _train(folder, *, init=None, policy=CONFIG.policy):
    """Train on the episodes in folder/pool, as `lwd train` does."""
    def trained(progress, phase):
        raise _TrainedError

    config = replace(CONFIG, algorithm='sft', policy=policy)
    with Catalogue(folder / 'replay') as catalogue:
        catalogue.add_folder(folder / 'pool', origin='offline')
        snapshot = catalogue.snapshot()
    _go_on(folder, snapshot, config, init, trained)


def _go_on(folder, snapshot, config, init, trained):
    engine = Engine(config.engine)
    replay = Replay(snapshot, config.policy, engine, config.lwd.td)
    algorithm = make_algorithm(config, engine)
    if init is not None:
        algorithm.start_from(load_policy(init)[0])
    trainer = Trainer(algorithm, engine, config.trainer, folder / 'run', on_update=trained)
    try:
        trainer.run(replay, 'offline')
    finally:
        trainer.close()


def _policy(folder, config=CONFIG.policy):
    save_policy(folder, FlowPolicy(config), card_of(
        config, RuntimeConfig(), name='test', algorithm='sft', command='test', seed=0))
    return folder


@pytest.fixture
def pool(tmp_path):
    write_episode(tmp_path / 'pool' / 'one', steps=80, segment_seconds=1.0)
    return tmp_path


def test_good_input_is_trained_on(pool):
    with pytest.raises(_TrainedError):
        _train(pool, init=_policy(pool / 'init'))


def _cut(folder):
    path = folder / 'weights.safetensors'
    path.write_bytes(path.read_bytes()[:1000])


def _foreign(folder):
    safetensors.torch.save_file({'a': torch.zeros(3)}, folder / 'weights.safetensors')


def _other_card(folder):
    other = _policy(folder.with_name('other'), replace(CONFIG.policy, expert_width=64))
    shutil.copyfile(other / 'card.json', folder / 'card.json')


def _edited_card(folder, **changes):
    path = folder / 'card.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _other_joints(folder):
    layout = json.loads((folder / 'card.json').read_text())['layout']
    _edited_card(folder, layout={**layout, 'joints': layout['joints'][::-1]})


@pytest.mark.parametrize(('spoil', 'error', 'text'), [
    (_cut, WeightsError, r'init/weights\.safetensors is no whole safetensors file'),
    (_foreign, WeightsError, r'init/weights\.safetensors says no architecture'),
    (_other_card, WeightsError, r'init/card\.json: tensors says expert\.\S+ is F32 \[.*, but '),
    (lambda folder: _edited_card(folder, version='a' * 64), WeightsError,
     r"init/card\.json: version is 'a+', but weights\.safetensors is"),
    (lambda folder: _edited_card(folder, seed='none'), CardError,
     r"init/card\.json: seed is 'none'; it must be a whole number"),
    (_other_joints, LayoutError, r'init.*moves joints .*; this robot has'),
])
def test_a_policy_that_cannot_be_begun_from_is_named(pool, spoil, error, text):
    spoil(_policy(pool / 'init'))
    with pytest.raises(error, match=text):
        _train(pool, init=pool / 'init')


def test_a_policy_of_other_networks_is_refused_with_the_settings_that_fit(pool):
    init = _policy(pool / 'init', replace(CONFIG.policy, expert_width=64, coefficients=8))
    with pytest.raises(ConfigError, match=r'Set policy\.coefficients=8 policy\.expert_width=64'):
        _train(pool, init=init)


def test_a_missing_segment_is_named(pool):
    with Catalogue(pool / 'replay') as catalogue:
        catalogue.add_folder(pool / 'pool', origin='offline')
        snapshot = catalogue.snapshot()
    (pool / 'pool' / 'one' / 'one_1.mcap').unlink()
    with pytest.raises(CatalogueError, match=r'1 files .*one/one_1\.mcap is missing'):
        _go_on(pool, snapshot, replace(CONFIG, algorithm='sft'), None, None)


def _change(topic, **fields):
    def change(name, step, message):
        if name == topic and step in (20, 79):
            for key, value in fields.items():
                setattr(message, key, value)
    return change


@pytest.mark.parametrize(('change', 'text'), [
    (_change('executed_command', joint_names=['elbow'] * 16),
     r'one_0\.mcap.*executed_command\.joint_names is \[elbow.*another action layout'),
    (_change('reward', reward=float('inf')), r'one_\d\.mcap.*reward\.reward is inf at tick 179'),
    (_change('reward', reward=float('nan')), r'one_\d\.mcap.*reward\.reward is nan at tick 179'),
])
def test_episodes_that_must_not_be_trained_on_are_named(tmp_path, change, text):
    write_episode(tmp_path / 'pool' / 'one', steps=80, change=change)
    with pytest.raises(IndexFileError, match=text):
        _train(tmp_path)


def test_a_policy_that_would_see_nothing_is_refused(tmp_path):
    write_episode(tmp_path / 'pool' / 'one', steps=80, scene=False)
    with pytest.raises(DataError, match=r'no scene features.*policy\.observation=cameras'):
        _train(tmp_path)


def test_images_of_another_size_are_refused(tmp_path):
    write_episode(tmp_path / 'pool' / 'one', steps=80, cameras=('head',), image_size=24)
    policy = replace(CONFIG.policy, observation='cameras', cameras=('head',), image_size=32)
    with pytest.raises(DataError, match='head of 24 x 24 pixels; the policy sees 32 x 32'):
        _train(tmp_path, policy=policy)
