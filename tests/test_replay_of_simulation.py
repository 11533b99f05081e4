# SPDX-License-Identifier: Apache-2.0
"""What a simulated robot saw and did, and what a learner reads of it later, are the same."""

import numpy as np

from g1_driver.images import from_jpeg, to_jpeg
from g1_sim.experts.flaws import Flaws
from g1_sim.features import SceneFeatures
from g1_sim.operator import OperatorConfig
from lwd_data.reader import EpisodeReader
from lwd_data.replay.catalogue import Catalogue
from lwd_data.replay.sampler import SamplerConfig, WindowSampler
from lwd_msgs.msg import ControlStep
from lwd_rollout.pool_make import make
from lwd_rollout.pool_plan import PoolPlan
from lwd_rollout.runner import Setting, expert, run_episode


class Witness:
    """A controller that keeps what it sees."""

    version, chunk_id, chunk_index = '', 0, 0

    def __init__(self, world, inner):
        self.inner, self.source = inner, inner.source
        self.features = SceneFeatures(world)
        self.states, self.scenes, self.images = [], [], []

    def act(self, observation):
        self.states.append(observation.joints.positions.copy())
        self.scenes.append(np.array(self.features.values(), np.float32))
        for frame in observation.frames:
            self.images.append(from_jpeg(to_jpeg(frame.rgb, 90)))
        return self.inner.act(observation)

    def interrupted(self):
        self.inner.interrupted()


def sample(store, folder, **config):
    with Catalogue(store) as catalogue:
        catalogue.add_folder(folder, origin='offline')
        snapshot = catalogue.snapshot()
    tasks = {record.task for record in snapshot.episodes()}
    return WindowSampler(snapshot, SamplerConfig(batch_size=16, **config),
                         dict.fromkeys(tasks, 3))


def test_the_learner_sees_what_the_policy_saw(tmp_path):
    witnesses = []

    def make_controller(world):
        witnesses.append(Witness(world, expert()(world)))
        return witnesses[0]

    run_episode(Setting('restock', cameras=('head',), image_size=48, max_seconds=2.0), 0,
                make_controller, folder=tmp_path / 'pool' / 'one')
    seen = witnesses[0]
    sampler = sample(tmp_path / 'store', tmp_path / 'pool', horizon=10, cameras=('head',))
    assert len(sampler) == 50
    for step in range(4):
        batch = sampler.batch(step)
        for observation, at in ((batch.observation, batch.step),
                                (batch.next_observation, batch.step + batch.span)):
            for i, t in enumerate(at.tolist()):
                np.testing.assert_array_equal(
                    observation.state[i], seen.states[t].astype(np.float32))
                np.testing.assert_array_equal(observation.scene[i], seen.scenes[t])
                np.testing.assert_array_equal(observation.images['head'][i], seen.images[t])


def test_a_human_in_a_simulated_episode_bounds_the_windows(tmp_path):
    run_episode(Setting('restock'), 2, expert(Flaws(weak_grip=1.0)),
                folder=tmp_path / 'pool' / 'one',
                operator=OperatorConfig(patience=1.0, budget=0.9))
    steps = EpisodeReader(tmp_path / 'pool' / 'one').steps()
    sampler = sample(tmp_path / 'store', tmp_path / 'pool', horizon=10)
    columns = sampler.episodes[0]
    for field in ('tick', 'stamp_ns', 'state', 'requested', 'executed', 'clipped', 'source',
                  'reward', 'terminal'):
        assert getattr(columns, field).tobytes() == getattr(steps, field).tobytes()
    hands = set()
    for step in range(20):
        batch = sampler.batch(step)
        for t, span, source in zip(batch.step, batch.span, batch.source):
            assert set(steps.source[t:t + span].tolist()) == {source}
            hands.add(int(source))
    assert hands == {ControlStep.SOURCE_EXPERT, ControlStep.SOURCE_TELEOP}


def test_a_pool_is_added_as_it_is(tmp_path):
    pool = make(tmp_path / 'pool', PoolPlan(hours=0.004, tasks=('restock',)), processes=1)
    sampler = sample(tmp_path / 'store', tmp_path / 'pool', horizon=30)
    assert {columns.record.name for columns in sampler.episodes} == {
        entry.episode.rpartition('/')[2] for entry in pool.entries}
    assert sum(len(columns) for columns in sampler.episodes) == sum(
        entry.steps for entry in pool.entries)
    outcomes = {'none': 0, 'success': 1, 'failure': 2, 'timeout': 3}
    for columns in sampler.episodes:
        assert columns.outcome == outcomes[columns.record.label]
    assert sampler.describe()['source'] == {'expert': len(sampler)}
