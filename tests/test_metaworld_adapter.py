# SPDX-License-Identifier: Apache-2.0
"""Meta-World's side of the benchmark, with a stand-in for Meta-World: a hand that must reach."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from benchmarks.meta import robot
from benchmarks.meta.cells import MetaProtocol, Unit, make_pool, run, scores
from benchmarks.meta.episodes import STEPS, demonstrate, drive
from benchmarks.meta.simulator import Simulator
from g1_description.joints import COMMAND_JOINTS, limits
from lwd_data.replay.catalogue import Catalogue
from lwd_learner.algorithms.base import Feed
from lwd_learner.data import Replay
from lwd_learner.engine import Engine, EngineConfig
from lwd_learner.td import TdConfig
from lwd_learner.trainer import TrainerConfig
from lwd_learner.training import TrainConfig
from lwd_policy.config import PolicyConfig
from lwd_rollout.table.protocol import Budget, Online, Trials

STAND_IN = """
import types
import numpy as np

class Reach:
    action_scale = 0.01

    def __init__(self):
        self.data = types.SimpleNamespace(mocap_pos=np.zeros((1, 3)))
        self.sawyer_observation_space = None

    def seed(self, seed):
        self._rng = np.random.default_rng(seed)

    def reset(self):
        assert not self._partially_observable and not hasattr(self, 'sawyer_observation_space')
        self.data.mocap_pos[0] = 0.0, 0.6, 0.2
        self.goal = self._rng.uniform([-0.3, 0.5, 0.1], [0.3, 0.8, 0.4])
        return self._see(), {}

    def _see(self):
        seen = np.zeros(39)
        seen[:3] = self.data.mocap_pos[0]
        seen[3] = 1.0
        seen[4:11] = *self.goal, 1.0, 0.0, 0.0, 0.0
        seen[22:29] = seen[4:11]
        seen[36:39] = self.goal
        return seen

    def step(self, action):
        print('a library that talks')
        target = self.data.mocap_pos[0] + self.action_scale * action[:3]
        self.data.mocap_pos[0] = np.clip(target, [-0.5, 0.4, 0.05], [0.5, 1.0, 0.5])
        away = np.linalg.norm(self.data.mocap_pos[0] - self.goal)
        return self._see(), 0.0, False, False, {'success': float(away < 0.02)}

class Script:
    def get_action(self, seen):
        return np.array([*(seen[36:39] - seen[:3]) / 0.01, 0.5])
"""
TASK = 'reach-v3'


@pytest.fixture
def simulator(tmp_path, monkeypatch):
    package = tmp_path / 'stand_in' / 'metaworld'
    package.mkdir(parents=True)
    (package / '__init__.py').write_text('')
    (package / 'reach.py').write_text(STAND_IN)
    (package / 'env_dict.py').write_text(
        f'from metaworld.reach import Reach\nALL_V3_ENVIRONMENTS = {{{TASK!r}: Reach}}\n')
    (package / 'policies.py').write_text(
        f'from metaworld.reach import Script\nENV_POLICY_MAP = {{{TASK!r}: Script}}\n')
    monkeypatch.setenv(
        'PYTHONPATH', f'{package.parent}{os.pathsep}{os.environ.get("PYTHONPATH", "")}')
    made = Simulator(sys.executable)
    yield made
    made.close()


class Straight:
    """Draws chunks that go straight to the goal, faster than the hand can."""

    def commands(self, observation):
        # The goal's token is the third of the bodies.
        goal = observation.scene[0, 18 + 2 * 20 + 1:18 + 2 * 20 + 4].double().numpy()
        hand = robot.targets(observation.sent.double().numpy())[0, :3]
        way = np.linspace(0.0, 1.0, 9)[1:, None]
        return robot.commands(hand + way * (goal - hand), np.zeros(8))[None]


def test_commands_are_the_way_of_the_hand():
    corners = np.array([[-0.5, 0.4, 0.05], [0.5, 1.0, 0.5]])
    commands = robot.commands(corners, np.array([-1.0, 1.0]))
    lower, upper = limits(COMMAND_JOINTS)
    assert (commands >= lower).all()
    assert (commands <= upper).all()
    np.testing.assert_allclose(robot.targets(commands), np.column_stack([corners, [-1.0, 1.0]]))


def test_a_python_without_it_is_named():
    missing = Simulator('false')
    with pytest.raises(SystemExit, match=r"'false'.* ended with status 1; is METAWORLD_PYTHON"):
        missing.reset(TASK, 0)
    missing.close()


def test_the_same_seed_is_the_same_scene(simulator):
    first = simulator.reset(TASK, 3)
    assert (simulator.reset(TASK, 4) != first).any()
    assert (simulator.reset(TASK, 3) == first).all()


def test_what_is_played_is_what_was_carried_out(simulator):
    episode = drive(simulator, TASK, 3, Straight(), 'a' * 64)
    assert episode.success
    assert len(episode.seen) == len(episode.commands) == len(episode.chunk) < STEPS
    hands = robot.targets(episode.commands)[:, :3]
    # The stand-in's hand is where it was told to be, one step later; and no step is too long.
    np.testing.assert_allclose(hands[:-1], episode.seen[1:, :3], atol=1e-9)
    assert np.abs(np.diff(hands, axis=0)).max() <= 0.01 + 1e-9
    assert episode.chunk[0] == 1
    assert set(np.diff(episode.chunk)) <= {0, 1}


def test_episodes_are_windows_like_all_others(simulator, tmp_path):
    for seed in range(3):
        demonstrate(simulator, TASK, seed).write(tmp_path / 'pool' / f'script_{seed}')
    driven = drive(simulator, TASK, 7, Straight(), 'a' * 64)
    driven.write(tmp_path / 'own' / 'own_7')
    with Catalogue(tmp_path / 'replay') as catalogue:
        catalogue.add_folder(tmp_path / 'pool', origin='offline')
        catalogue.add_folder(tmp_path / 'own', origin='online')
        snapshot = catalogue.snapshot()
    replay = Replay(snapshot, PolicyConfig(horizon=8, coefficients=8),
                    Engine(EngineConfig(device='cpu')), TdConfig())
    batch = replay.sampler(Feed('all', 64)).batch(0)
    own = np.flatnonzero(batch.online)
    assert len(own) == 32
    for row in own:
        at = int(batch.step[row])
        np.testing.assert_allclose(batch.chunk[row], driven.commands[at:at + 8], atol=1e-6)
        np.testing.assert_allclose(
            batch.observation.scene[row], robot.scenes(driven.seen[at:at + 1])[0], atol=1e-6)
    # Of what a policy did, whole chunks of its own are imitated.
    good = replay.sampler(Feed('good', 64)).batch(0)
    begins = {int(step) for step in good.step[good.online]}
    assert begins
    assert all(step % 8 == 0 for step in begins)


@pytest.mark.timeout(300)
def test_a_task_from_its_data_to_its_scores(simulator, tmp_path):
    protocol = MetaProtocol(
        name='metaworld', tasks=(TASK,), methods=('sft', 'lwd_offline', 'lwd_online'), seeds=1,
        budget=Budget(*[1] * 6), online=Online(rounds=1, episodes=1),
        testing=Trials(episodes=1, distribution=''),
        train=TrainConfig(policy=PolicyConfig(horizon=8, coefficients=8),
                          trainer=TrainerConfig(tensorboard=False, prefetch=0)))
    assert 0.0 < make_pool(tmp_path / TASK, TASK, 3, sys.executable) <= 1.0
    unit = Unit(tmp_path / TASK, protocol, protocol.methods, (1.0,), 0, sys.executable)
    assert scores(unit, 'lwd_online', 1.0) is None
    run(unit)
    assert len(scores(unit, 'lwd_online', 1.0)) == 1
