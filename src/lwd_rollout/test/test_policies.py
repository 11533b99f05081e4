# SPDX-License-Identifier: Apache-2.0
"""Policies in simulated episodes: what they saw is what replay returns; branches, gate."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from g1_sim.operator import OperatorConfig
from lwd_data.reader import EpisodeReader
from lwd_data.replay.catalogue import Catalogue
from lwd_data.replay.sampler import SamplerConfig, WindowSampler
from lwd_msgs.msg import ControlStep
from lwd_policy.config import PolicyConfig
from lwd_policy.critic import Critic, CriticConfig
from lwd_policy.policy import FlowPolicy
from lwd_policy.runtime import RuntimeConfig
from lwd_policy.store import CRITIC, POLICY, card_of, save_critic, save_policy
from lwd_rollout.branching import Branch, BranchPlan, branch, ranking
from lwd_rollout.errors import EvaluationError, RolloutError
from lwd_rollout.evaluate import EvaluationPlan, make_controller
from lwd_rollout.gate import GateFigures, GatePlan, compare
from lwd_rollout.policy_controller import PolicyController, from_folder
from lwd_rollout.runner import Setting, run_episode

CONFIG = PolicyConfig(text_width=16, token_width=16, context_width=32, expert_width=32,
                      expert_depth=1, expert_heads=4)
SEED = 200_000_000
SHORT = Setting('restock', max_seconds=4.0)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A policy and a critic with random weights, on disk."""
    folder = tmp_path_factory.mktemp('run')
    torch.manual_seed(0)
    policy, critic = FlowPolicy(CONFIG), Critic(CriticConfig(width=32), CONFIG)
    torch.nn.init.normal_(policy.expert.last.weight, std=0.02)
    for network in (policy, critic):
        # Small motions: a random policy shall not run into everything.
        network.actions.quantiles.scale.fill_(0.02)
    card = card_of(CONFIG, RuntimeConfig(), name='test', algorithm='none', command='test', seed=0)
    saved = save_policy(folder / POLICY, policy, card)
    save_critic(folder / CRITIC, critic, CONFIG, saved)
    return folder, saved.version


def test_what_a_policy_saw_live_is_what_the_sampler_returns(tmp_path, run):
    """State, last command and scene bit for bit; the chunks that were asked for, too."""
    seen = {}

    class Watching(PolicyController):
        step = -1

        def act(self, observation):
            self.step += 1
            command = super().act(observation)
            if self.chunk_index == 0:
                seen[self.step] = (self.last_seen, self.last_chunk.copy())
            return command

    folder, version = run
    maker = from_folder(folder / POLICY, 5)
    policy = maker._make.keywords['policy']
    run_episode(SHORT, SEED, lambda world: Watching(
        world, policy, RuntimeConfig(), seed=5, version=version),
        folder=tmp_path / 'store' / 'episode')
    with Catalogue(tmp_path / 'store') as catalogue:
        catalogue.add_folder(tmp_path / 'store', origin='online')
        snapshot = catalogue.snapshot()
    sampler = WindowSampler(snapshot, SamplerConfig(batch_size=512), {'restock': 1})
    batch = sampler.batch(0)
    assert batch.versions[int(batch.version[0])] == version
    steps = EpisodeReader(tmp_path / 'store' / 'episode').steps()
    found = 0
    for i, step in enumerate(batch.step.tolist()):
        if step not in seen:
            continue
        observation, chunk = seen[step]
        np.testing.assert_array_equal(batch.observation.state[i], observation.state[0])
        np.testing.assert_array_equal(batch.observation.sent[i], observation.sent[0])
        np.testing.assert_array_equal(batch.observation.scene[i], observation.scene[0])
        instruction = batch.instructions[int(batch.observation.instruction[i])]
        assert instruction == observation.instructions[0]
        np.testing.assert_array_equal(steps.requested[step:step + 30], chunk)
        found += 1
    assert found >= 3


def test_a_policy_begins_a_new_chunk_after_a_correction(tmp_path, run):
    folder, version = run
    run_episode(Setting('restock', max_seconds=8.0), SEED, from_folder(folder / POLICY, 1),
                folder=tmp_path / 'episode',
                operator=OperatorConfig(patience=1.0, reaction=0.2, longest=2.0))
    steps = EpisodeReader(tmp_path / 'episode').steps()
    source = steps.source
    teleop, own = int(ControlStep.SOURCE_TELEOP), int(ControlStep.SOURCE_POLICY)
    back = np.flatnonzero((source[:-1] == teleop) & (source[1:] == own)) + 1
    assert len(back) >= 1
    with Catalogue(tmp_path / 'store') as catalogue:
        catalogue.add_folder(tmp_path, origin='online')
        columns = WindowSampler(
            catalogue.snapshot(), SamplerConfig(), {'restock': 1}).episodes[0]
    assert columns.chunk_index[back[0]] == 0
    assert columns.versions[columns.version[back[0]]] == version
    assert columns.versions[columns.version[back[0] - 1]] == ''


def test_the_same_seed_gives_the_same_episode(run):
    folder, _ = run
    one, two = (run_episode(SHORT, SEED, from_folder(folder / POLICY, 3)) for _ in range(2))
    assert one == two


def test_policies_are_named_by_their_folder(tmp_path, run):
    folder, _ = run
    plan = EvaluationPlan(
        controller=str(folder / POLICY), tasks=('restock',), episodes=1, best_of=4)
    assert make_controller(plan.controller, 0, best_of=4) is not None
    with pytest.raises(EvaluationError, match='or the folder of a policy'):
        EvaluationPlan(controller=str(tmp_path / 'nothing'), episodes=1)
    card = json.loads((folder / POLICY / 'card.json').read_text())
    broken = tmp_path / POLICY
    broken.mkdir()
    (broken / 'card.json').write_text(json.dumps(card))
    (broken / 'weights.safetensors').write_bytes(
        (folder / POLICY / 'weights.safetensors').read_bytes()[:-100])
    with pytest.raises(RolloutError, match=str(broken)):
        EvaluationPlan(controller=str(broken), episodes=1)


def _branches(values):
    """Return branches from ((q, outcome), ...) of each state."""
    return [Branch('t', seed, i, q, y)
            for seed, group in enumerate(values) for i, (q, y) in enumerate(group)]


def test_ranking_counts_only_what_states_can_tell():
    perfect = ranking(_branches([((0.1, 0.0), (0.9, 1.0)), ((0.5, 1.0), (0.4, 0.0))]))
    assert perfect.auc == 1.0
    assert perfect.mixed == perfect.states == 2
    wrong = ranking(_branches([((0.9, 0.0), (0.1, 1.0))]))
    assert wrong.auc == 0.0
    assert wrong.correlation == pytest.approx(-1.0)
    # Between states Q may be as right as it likes: within them it guesses.
    between = ranking(_branches([((0.9, 1.0), (0.9, 0.0)), ((0.1, 1.0), (0.1, 0.0))]))
    assert between.auc == 0.5
    none = ranking(_branches([((0.9, 1.0), (0.8, 1.0)), ((0.1, 0.0), (0.2, 0.0))]))
    assert none.mixed == 0
    assert np.isnan(none.auc)


def test_slope_is_that_of_outcomes_over_q():
    rng = np.random.default_rng(0)
    groups = []
    for _ in range(200):
        q = rng.normal(rng.uniform(), 0.1, 6)
        groups.append(tuple(zip(q, 2.0 * q + rng.uniform())))
    assert ranking(_branches(groups)).slope == pytest.approx(2.0)


def test_what_a_chunk_decides_is_told_from_what_comes_after_it():
    rng = np.random.default_rng(0)

    def decided(spread, continuations):
        """Chances of chunks of a state lie as far apart as `spread` says, about a half."""
        found = []
        for seed in range(2000):
            for number, chance in enumerate(0.5 + spread * np.array([-1.0, 1.0] * 3)):
                came = (rng.random(continuations) < chance).astype(float)
                found.append(Branch(
                    't', seed, number, 0.0, float(came.mean()), continuations=continuations,
                    noise=float(came.var(ddof=1)) if continuations > 1 else None))
        return ranking(found).decided

    # Of chances .5 +- s the chunks' variance is s^2 (6/5, of six), the rest's .25 - s^2.
    assert decided(0.0, 3) == pytest.approx(0.0, abs=0.03)
    assert decided(0.3, 3) == pytest.approx(0.108 / (0.108 + 0.16), abs=0.03)
    assert decided(0.5, 2) == pytest.approx(1.0)
    assert np.isnan(decided(0.3, 1))


def test_branches_share_their_state(run):
    folder, _ = run
    plan = BranchPlan(folder / POLICY, folder / CRITIC, ('restock',), states=1, chunks=2,
                      first_seed=11, latest=0.1)
    one, two = (branch(plan, processes=1) for _ in range(2))
    assert one == two
    assert len(one) == 2
    assert one[0].q != one[1].q


def test_the_gate_compares_on_the_same_scenes(run):
    folder, _ = run
    maker = from_folder(folder / POLICY, 0)
    policy = maker._make.keywords['policy']
    critic = Critic(CriticConfig(width=32), CONFIG)
    found = compare(policy, critic, GatePlan(('restock',), episodes=1, best_of=2), processes=1)
    assert found.plain == found.chosen == 0.0
    assert not found.passed
    assert GateFigures(0.5, 0.6, 0.0, 0.2).passed
