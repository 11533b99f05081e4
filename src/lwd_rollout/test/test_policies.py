# SPDX-License-Identifier: Apache-2.0
"""Policies in simulated episodes: what they saw is what replay returns; branches, gate."""

from __future__ import annotations

import json
from dataclasses import replace

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
from lwd_policy.store import (
    CRITIC,
    POLICY,
    card_of,
    load_critic,
    save_critic,
    save_policy,
)
from lwd_rollout import branching
from lwd_rollout.branching import BranchPlan, branch, file_of
from lwd_rollout.errors import EvaluationError, RolloutError
from lwd_rollout.evaluate import EvaluationPlan, make_controller
from lwd_rollout.gate import GateFigures, GatePlan, compare
from lwd_rollout.policy_controller import PolicyController, from_folder
from lwd_rollout.ranking import judged
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


def test_branches_share_their_state(tmp_path, run):
    folder, _ = run
    plan = BranchPlan(folder / POLICY, ('restock',), states=1, chunks=2, first_seed=11, latest=0.1)
    state, = branch(plan, tmp_path / 'one', processes=1)
    other, = branch(plan, tmp_path / 'two', processes=1)
    assert torch.equal(state.actions, other.actions)
    assert torch.equal(state.outcomes, other.outcomes)
    assert not torch.equal(state.actions[0], state.actions[1])
    one, two = judged([state], load_critic(folder / CRITIC))
    assert one.q != two.q
    assert one.v == two.v
    assert one.outcome == state.outcomes[0, 0]


def test_states_that_are_there_are_not_made_again(tmp_path, run, monkeypatch):
    folder, _ = run
    plan = BranchPlan(folder / POLICY, ('restock',), states=1, chunks=2, first_seed=11, latest=0.1)
    before, = branch(plan, tmp_path, processes=1)
    monkeypatch.setattr(branching, 'keep', None)
    after, = branch(plan, tmp_path, processes=1)
    assert torch.equal(before.seen.scene, after.seen.scene)
    assert before.seen.instructions == after.seen.instructions


def test_states_of_another_plan_are_refused(tmp_path, run):
    folder, _ = run
    plan = BranchPlan(folder / POLICY, ('restock',), states=1, chunks=2, first_seed=11, latest=0.1)
    branch(plan, tmp_path, processes=1)
    with pytest.raises(EvaluationError, match='made with another chunks; remove it'):
        branch(replace(plan, chunks=3), tmp_path, processes=1)


def test_a_damaged_state_is_named(tmp_path, run):
    folder, _ = run
    plan = BranchPlan(folder / POLICY, ('restock',), states=1, chunks=2, first_seed=11, latest=0.1)
    file = file_of(tmp_path, *plan.scenes[0])
    file.write_bytes(b'no state')
    with pytest.raises(EvaluationError, match=f'{file.name} is missing or damaged; remove it'):
        branch(plan, tmp_path, processes=1)


def test_the_gate_compares_on_the_same_scenes(run):
    folder, _ = run
    maker = from_folder(folder / POLICY, 0)
    policy = maker._make.keywords['policy']
    critic = Critic(CriticConfig(width=32), CONFIG)
    found = compare(policy, critic, GatePlan(('restock',), episodes=1, best_of=2), processes=1)
    assert found.plain == found.chosen == 0.0
    assert not found.passed
    assert GateFigures(0.5, 0.6, 0.0, 0.2).passed
