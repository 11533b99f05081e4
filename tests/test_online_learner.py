# SPDX-License-Identifier: Apache-2.0
"""The learner on a growing store: it waits, trains, publishes, and survives being killed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lwd_data.errors import EmptyError
from lwd_data.replay.catalogue import Catalogue
from lwd_learner.algorithms.lwd import LwdConfig
from lwd_learner.algorithms.sft import SftConfig
from lwd_learner.data import Replay
from lwd_learner.engine import Engine, EngineConfig
from lwd_learner.errors import NoEpisodeError
from lwd_learner.extraction import QamConfig
from lwd_learner.trainer import Trainer, TrainerConfig
from lwd_learner.training import TrainConfig, make_algorithm
from lwd_learner.value_learning import ValueConfig
from lwd_learner_bridge import online
from lwd_learner_bridge.errors import BridgeError
from lwd_learner_bridge.online import OnlineLearner
from lwd_learner_bridge.online_config import OnlineConfig
from lwd_policy import delta
from lwd_policy.config import PolicyConfig
from lwd_policy.critic import CriticConfig
from lwd_policy.errors import WeightsError
from lwd_policy.store import card_of, load_critic, load_policy, save_policy
from lwd_rollout.pool_make import make
from lwd_rollout.pool_plan import PoolPlan

TRAIN = TrainConfig(
    policy=PolicyConfig(text_width=16, token_width=16, context_width=32, expert_width=32,
                        expert_depth=1, expert_heads=4),
    sft=SftConfig(updates=2, batch_size=16),
    lwd=LwdConfig(online_critic_updates=2, online_updates=2, refresh_updates=2, batch_size=16,
                  actor_batch_size=8, value=ValueConfig(critic=CriticConfig(width=32)),
                  qam=QamConfig(spread_every=2)),
    trainer=TrainerConfig(log_every=1, checkpoint_every=1, tensorboard=False),
    engine=EngineConfig(device='cpu', precision='fp32', threads=1))


class _KilledError(Exception):
    pass


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Return folders of a pool, of episodes of a fleet, and of a first policy."""
    folder = tmp_path_factory.mktemp('online')
    for number, name in enumerate(('pool', 'fleet', 'later')):
        make(folder / name, PoolPlan(
            hours=0.008, tasks=('restock',), first_seed=1000 * number), processes=1)
    with Catalogue(folder / 'replay') as catalogue:
        catalogue.add_folder(folder / 'pool', origin='offline')
        snapshot = catalogue.snapshot()
    config, engine = replace(TRAIN, algorithm='sft'), Engine(TRAIN.engine)
    algorithm = make_algorithm(config, engine)
    trainer = Trainer(algorithm, engine, config.trainer, folder / 'sft')
    trainer.run(Replay(snapshot, config.policy, engine, config.lwd.td), 'offline')
    trainer.close()
    save_policy(folder / 'policy', algorithm.policy, card_of(
        config.policy, algorithm.runtime, name='test', algorithm='sft', command='test', seed=0))
    return folder


@pytest.fixture
def store(tmp_path, data):
    place = tmp_path / 'store'
    add(place, data / 'pool', 'offline')
    return place


def add(store, folder, origin='online'):
    with Catalogue(store) as catalogue:
        assert catalogue.add_folder(folder, origin=origin) > 0


def learner(store, run, data, **options):
    settings = {'windows_per_update': 10.0, 'first_windows': 20, 'train': TRAIN,
                'init': str(data / 'policy')}
    hooks = {name: options.pop(name) for name in ('say', 'on_update') if name in options}
    return OnlineLearner(OnlineConfig(
        store=str(store), run=str(run), **{**settings, **options}), **hooks)


def test_it_waits_for_the_fleet_then_trains_and_publishes_and_waits_again(tmp_path, store, data):
    it = learner(store, tmp_path / 'run', data)
    first = it.publish_start()
    assert it.publish_start() is None
    assert it.step() is None
    assert it.standing.online_windows == 0
    add(store, data / 'fleet')
    found = [it.step()]
    while (publication := it.step()) is not None:
        found.append(publication)
    standing = it.standing
    # Each round took 4 updates (no human took over, so nothing is refreshed), 10 windows each.
    assert standing.round == len(found) == 1 + (standing.online_windows - 20) // 40
    assert [each.number for each in found] == list(range(2, len(found) + 2))
    assert [each.update for each in found] == [4 * k + 4 for k in range(len(found))]
    assert found[0].version != first.version
    assert found[0].card().parent == first.version
    assert found[-1].card().parent == ([first, *found][-2]).version
    assert found[0].snapshot == standing.snapshot
    assert standing.published == found[-1].version
    for file in ('weights.safetensors', 'card.json', 'canary.safetensors'):
        assert (found[-1].folder / file).is_file()
    load_critic(tmp_path / 'run' / 'last' / 'critic')
    assert it.trainer.last_metrics['loss/q'] > 0
    with Catalogue(store) as catalogue:
        pins = catalogue.pins()
    assert pins[f'run/round-0/{found[0].snapshot[:12]}'][0] == found[0].snapshot
    it.close()


def test_it_waits_where_there_is_nothing_to_draw_yet(tmp_path, store, data, monkeypatch):
    """The first episode was cut short by a kill, or nothing has succeeded yet."""
    add(store, data / 'fleet')
    it = learner(store, tmp_path / 'run', data)
    for error in (EmptyError('not one window'), NoEpisodeError('no episode')):
        def empty(*_, error=error, **__):
            raise error
        with monkeypatch.context() as patch:
            patch.setattr(online, 'Replay', empty)
            assert it.step() is None
    begun = []

    def barren(*_, **__):
        begun.append(1)
        raise EmptyError('not one window that the selection lets through')

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, 'run', barren)
        assert it.step() is None
        assert it.step() is None
    assert len(begun) == 1
    # The next round is of what has come since.
    add(store, data / 'later')
    assert it.step().number == 1
    it.close()


def test_a_round_that_was_killed_ends_as_if_it_had_not_been(tmp_path, store, data):
    add(store, data / 'fleet')
    whole = learner(store, tmp_path / 'whole', data)
    wanted = whole.step()
    whole.close()
    updates = []

    def kill():
        updates.append(1)
        if len(updates) == 3:
            raise _KilledError

    killed = learner(store, tmp_path / 'killed', data, on_update=kill)
    with pytest.raises(_KilledError):
        killed.step()
    killed.close()
    # What comes meanwhile belongs to the next round.
    add(store, data / 'later')
    again = learner(store, tmp_path / 'killed', data)
    found = again.step()
    assert (found.version, found.snapshot) == (wanted.version, wanted.snapshot)
    assert again.step().snapshot != found.snapshot
    again.close()


def test_a_round_that_was_not_yet_published_is_published_once(tmp_path, store, data, monkeypatch):
    add(store, data / 'fleet')
    it = learner(store, tmp_path / 'run', data)
    with monkeypatch.context() as patch:
        def killed(*_):
            raise _KilledError
        patch.setattr(OnlineLearner, '_publish', killed)
        with pytest.raises(_KilledError):
            it.step()
    it.close()
    said = []
    again = learner(store, tmp_path / 'run', data, say=said.append)
    assert any('not published' in text for text in said)
    latest = again.published.latest()
    assert (latest.number, latest.update) == (1, 4)
    assert load_policy(latest.folder)[2].snapshot == latest.snapshot
    again.close()
    learner(store, tmp_path / 'run', data).close()
    assert again.published.latest() == latest


def test_a_run_begins_from_a_policy_that_is_there(tmp_path, store, data):
    for init in ('', str(tmp_path / 'nowhere')):
        with pytest.raises(BridgeError, match='init is'):
            learner(store, tmp_path / 'run', data, init=init)
    shutil.copytree(data / 'policy', tmp_path / 'bad')
    Path(tmp_path / 'bad' / 'weights.safetensors').write_bytes(b'none')
    with pytest.raises(Exception, match='weights'):
        learner(store, tmp_path / 'other', data, init=str(tmp_path / 'bad'))


def test_a_damaged_start_is_named_where_it_lies_and_leaves_no_trace(tmp_path, store, data):
    shutil.copytree(data / 'policy', tmp_path / 'init')
    weights = tmp_path / 'init' / 'weights.safetensors'
    whole = weights.read_bytes()
    weights.write_bytes(whole[:999])
    with pytest.raises(WeightsError, match=rf'{weights} is no whole safetensors file'):
        learner(store, tmp_path / 'run', data, init=str(tmp_path / 'init'))
    weights.write_bytes(whole)
    learner(store, tmp_path / 'run', data, init=str(tmp_path / 'init')).close()


def _with(**changes):
    return replace(TRAIN, trainer=replace(TRAIN.trainer, **changes))


def test_a_round_leaves_the_backbone_and_its_publication_is_smaller(tmp_path, store, data):
    add(store, data / 'fleet')
    before, _, _ = load_policy(data / 'policy')
    sizes = {}
    for frozen in (True, False):
        it = learner(store, tmp_path / str(frozen), data,
                     precision='fp32', train=_with(freeze_backbone_online=frozen))
        found, _, card = load_policy(it.step().folder)
        it.close()
        old, new = before.state_dict(), found.state_dict()
        changed = {name.partition('.')[0] for name in old if not torch.equal(old[name], new[name])}
        assert changed == ({'expert'} if frozen else {'expert', 'backbone'})
        sizes[frozen] = len(delta.encode(old, new, architecture=card.architecture))
    # Even a backbone that is trained keeps most of its embeddings of words: no sentence has them.
    assert sizes[True] < 0.9 * sizes[False]


def test_contexts_are_computed_once_for_a_backbone(tmp_path, data):
    store = tmp_path / 'store'
    for name, origin in (('pool', 'offline'), ('fleet', 'online')):
        shutil.copytree(data / name, tmp_path / name,
                        ignore=shutil.ignore_patterns('*.features.*'))
        add(store, tmp_path / name, origin)
    computed, versions = {}, {}
    for name, keep in (('without', False), ('first', True), ('second', True)):
        it = learner(store, tmp_path / name, data, train=_with(keep_contexts=keep))
        cache = it.trainer.contexts
        publication = it.step()
        computed[name] = None if cache is None else cache.computed
        versions[name] = load_policy(publication.folder)[0].state_dict()
        it.close()
    assert computed['without'] is None
    # Each state of an actor's batch once; what lies between two segments is never kept.
    assert 8 <= computed['first'] <= 16
    assert computed['second'] == 0
    for key, value in versions['without'].items():
        torch.testing.assert_close(versions['first'][key], value, atol=1e-4, rtol=0)
        assert torch.equal(versions['first'][key], versions['second'][key])
    # Another backbone finds nothing that is its own.
    other, runtime, _ = load_policy(data / 'policy')
    with torch.no_grad():
        other.backbone.mix[0].bias += 1.0
    save_policy(tmp_path / 'other', other, card_of(
        other.config, runtime, name='test', algorithm='sft', command='test', seed=0))
    it = learner(store, tmp_path / 'third', data, init=str(tmp_path / 'other'))
    it.step()
    assert it.trainer.contexts.computed == computed['first']
    it.close()
