# SPDX-License-Identifier: Apache-2.0
"""The flow policy: shapes, invariances, language, and that it can learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from g1_description.joints import ARM_INDICES, COMMAND_JOINTS, GRIPPER_INDICES, limits
from lwd_data.scene_layout import SCENE_1
from lwd_policy import flow
from lwd_policy.config import LARGE, PolicyConfig
from lwd_policy.critic import Critic, CriticConfig, pessimistic
from lwd_policy.errors import ConfigError, LayoutError
from lwd_policy.expert import make_expert
from lwd_policy.observation import Observation, single
from lwd_policy.policy import FlowPolicy, sample
from lwd_policy.runtime import ChunkSampler, RuntimeConfig
from lwd_policy.store import card_of, load_policy, save_policy
from lwd_policy.text import TextEncoder, word_ids

SMALL = PolicyConfig(text_width=16, token_width=16, context_width=32, expert_width=32,
                     expert_depth=1, expert_heads=4)
CAMERAS = replace(SMALL, observation='cameras', image_size=32)


def scene(count, seed=0):
    values = np.random.default_rng(seed).normal(0.7, 0.2, (count, SCENE_1.size))
    at = 0
    for group in SCENE_1.groups:
        if group.present is not None:
            values[:, at + group.present:at + group.count * group.size:group.size] = 1.0
        at += group.count * group.size
    return torch.tensor(values, dtype=torch.float32)


def observations(count=3, seed=0, *, cameras=False):
    generator = torch.Generator().manual_seed(seed)
    images = {} if not cameras else {
        name: torch.randint(0, 256, (count, 32, 32, 3), generator=generator, dtype=torch.uint8)
        for name in CAMERAS.cameras}
    return Observation(
        torch.randn(count, 20, generator=generator) * 0.3,
        torch.randn(count, 16, generator=generator) * 0.3,
        scene(count, seed) if not cameras else torch.zeros(count, 0), images,
        torch.arange(count) % 2, ('put the red can on the upper shelf', 'pack the shoes'))


def policy(config=SMALL, seed=0):
    torch.manual_seed(seed)
    made = FlowPolicy(config)
    # The last layer begins at zero: without this every velocity would be.
    torch.nn.init.normal_(made.expert.last.weight, std=0.1)
    return made.eval()


@pytest.mark.parametrize('config', [
    SMALL, replace(SMALL, expert='transformer'), CAMERAS, replace(SMALL, coefficients=30)])
def test_shapes(config):
    made = policy(config)
    seen = observations(cameras=config.observation == 'cameras')
    context = made.context(seen)
    assert context.shape == (3, 32)
    noise = made.noise(3)
    assert sample(made, context, noise).shape == (3, *config.shape)
    found = made(seen, made.noise(12).unflatten(0, (3, 4)), torch.rand(3, 4))
    assert found.shape == (3, 4, *config.shape)


def test_default_has_about_three_million_parameters_and_the_large_expert_300():
    count = sum(parameter.numel() for parameter in FlowPolicy().parameters())
    assert 2.5e6 <= count <= 4e6
    with torch.device('meta'):
        expert = make_expert(LARGE)
    assert 2.5e8 <= sum(parameter.numel() for parameter in expert.parameters()) <= 4e8


def test_the_context_is_computed_once_for_all_steps(monkeypatch):
    made, calls = policy(), []
    original = made.backbone.forward
    monkeypatch.setattr(made.backbone, 'forward',
                        lambda seen: calls.append(1) or original(seen))
    ChunkSampler(made, RuntimeConfig(steps=10, best_of=1)).commands(observations())
    assert len(calls) == 1


@pytest.mark.parametrize('config', [SMALL, CAMERAS])
def test_an_observation_does_not_depend_on_its_batch(config):
    made = policy(config)
    seen = observations(4, cameras=config.observation == 'cameras')
    together = made.context(seen)
    alone = Observation(
        seen.state[2:3], seen.sent[2:3], seen.scene[2:3],
        {name: image[2:3] for name, image in seen.images.items()}, torch.zeros(1).long(),
        (seen.instructions[0],))
    torch.testing.assert_close(made.context(alone), together[2:3], atol=1e-5, rtol=1e-5)


def test_empty_places_of_the_scene_do_not_matter():
    made, seen = policy(), observations(1)
    group = SCENE_1.groups[1]
    at = SCENE_1.start('bodies') + 3 * group.size
    seen.scene[0, at] = 0.0
    before = made.context(seen)
    seen.scene[0, at + 1:at + group.size] = 5.0
    torch.testing.assert_close(made.context(seen), before)


def test_the_instruction_matters_and_its_index_is_followed():
    made, seen = policy(), observations(2)
    same = Observation(seen.state[:1].repeat(2, 1), seen.sent[:1].repeat(2, 1),
                       seen.scene[:1].repeat(2, 1), {}, torch.tensor([0, 1]), seen.instructions)
    context = made.context(same)
    assert float((context[0] - context[1]).detach().abs().max()) > 1e-3
    swapped = made.context(replace(
        same, instruction=torch.tensor([1, 0]), instructions=seen.instructions[::-1]))
    torch.testing.assert_close(swapped, context)


def test_text_ignores_case_and_marks_and_knows_roots_of_words():
    torch.manual_seed(0)
    encoder = TextEncoder(16)
    found = encoder(['Put the red can there!', 'put the red can there', '', '...'])
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[2], found[3])
    assert set(word_ids('shelves')) & set(word_ids('shelf'))


def test_paraphrases_are_understood_after_training_on_others():
    """Phrasings that were never trained on lead to the right choice by the words they share."""
    torch.manual_seed(0)
    encoder = TextEncoder(32)
    head = torch.nn.Linear(32, 4)
    looks = ['red can', 'blue can', 'green bottle', 'yellow carton']
    trained = ['put the {} on the shelf', 'take the {} and set it on the board',
               'restock the shelf with the {}', 'place the {} there']
    held_out = ['the {} belongs on the shelf, please put it there', 'move the {} up']
    optimiser = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=3e-3)
    texts = [phrase.format(look) for phrase in trained for look in looks]
    labels = torch.arange(4).repeat(len(trained))
    for _ in range(80):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(head(encoder(texts)), labels).backward()
        optimiser.step()
    tests = [phrase.format(look) for phrase in held_out for look in looks]
    chosen = head(encoder(tests)).argmax(dim=1)
    assert chosen.tolist() == list(range(4)) * len(held_out)


def test_actions_round_trip_where_the_basis_is_complete():
    made = policy(replace(SMALL, coefficients=30))
    rng = np.random.default_rng(0)
    sent = rng.normal(0, 0.5, (50, 16)).astype(np.float32)
    commands = sent[:, None] + np.cumsum(rng.normal(0, 0.02, (50, 30, 16)), axis=1)
    commands = commands.astype(np.float32)
    made.fit(commands, rng.normal(0, 1, (50, 20)).astype(np.float32), sent)
    actions = made.actions.encode(torch.from_numpy(commands), torch.from_numpy(sent))
    assert float(actions.abs().median()) < 1.5
    back = made.actions.decode(actions, torch.from_numpy(sent))
    np.testing.assert_allclose(back, commands, atol=1e-4)


def test_few_cosines_keep_a_smooth_motion():
    made = policy()
    time = np.linspace(0, 1, 30, dtype=np.float32)[None, :, None]
    commands = 0.4 * (1 - np.cos(np.pi * time)) * np.ones((1, 1, 16), dtype=np.float32)
    sent = torch.zeros(1, 16)
    back = made.actions.decode(made.actions.encode(torch.from_numpy(commands), sent), sent)
    assert float((back - torch.from_numpy(commands)).abs().max()) < 0.01


def test_arms_are_relative_to_the_last_command_and_grippers_absolute():
    made = policy(replace(SMALL, coefficients=30))
    commands = torch.rand(1, 30, 16)
    first = made.actions.encode(commands, torch.zeros(1, 16))
    moved = made.actions.encode(commands + 1.0, torch.ones(1, 16))
    torch.testing.assert_close(first[..., ARM_INDICES], moved[..., ARM_INDICES], atol=1e-4, rtol=0)
    same = made.actions.encode(commands, torch.ones(1, 16))
    torch.testing.assert_close(first[..., GRIPPER_INDICES], same[..., GRIPPER_INDICES])


def test_commands_stay_within_the_joints_ranges():
    made = policy()
    made.actions.quantiles.scale.fill_(50.0)
    commands = ChunkSampler(made).commands(observations(8))
    low, high = limits(COMMAND_JOINTS)
    assert commands.min(axis=(0, 1)).tolist() == pytest.approx(low.tolist())
    assert commands.max(axis=(0, 1)).tolist() == pytest.approx(high.tolist())


def test_the_same_seed_draws_the_same_chunk():
    made, seen = policy(), observations(2)
    one, two, other = (ChunkSampler(made, seed=seed).commands(seen) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, two)
    assert np.abs(one - other).max() > 1e-3


def test_flow_matching_learns_two_modes():
    """Actions at +1 or -1 with equal chance: a mean would be 0, a flow draws both."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(2, 64), torch.nn.SiLU(), torch.nn.Linear(64, 64), torch.nn.SiLU(),
        torch.nn.Linear(64, 1))

    def velocity(actions, level):
        return network(torch.cat([actions.flatten(1), level[:, None]], dim=1))[..., None]

    adam = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(600):
        actions = torch.randint(0, 2, (256, 1, 1)) * 2.0 - 1.0
        adam.zero_grad()
        flow.matching_loss(
            velocity, actions, torch.randn(256, 1, 1), torch.rand(256)).mean().backward()
        adam.step()
    with torch.no_grad():
        drawn = flow.integrate(velocity, torch.randn(2000, 1, 1), 20).flatten()
    assert 0.4 <= float((drawn > 0).float().mean()) <= 0.6
    assert float((drawn.abs() > 0.6).float().mean()) > 0.85


def test_guidance_exaggerates_the_condition():
    made, seen = policy(replace(SMALL, conditions=2)), observations(2)
    plain, asked, guided = (
        ChunkSampler(made, RuntimeConfig(condition=c, guidance=g)).actions(seen)
        for c, g in ((0, 1.0), (2, 1.0), (2, 3.0)))
    assert float((asked - plain).abs().max()) > 1e-3
    assert float((guided - plain).norm()) > 1.5 * float((asked - plain).norm())


class _Likes:
    def __init__(self, wanted):
        self.wanted = wanted

    def rank(self, observation, actions):
        return -(actions - self.wanted).flatten(2).norm(dim=2)


def test_best_of_n_takes_what_the_critic_likes():
    made, seen = policy(), observations(3)
    wanted = torch.full((10, 16), 0.5)
    plain = ChunkSampler(made, seed=1).actions(seen)
    chosen = ChunkSampler(
        made, RuntimeConfig(best_of=16), ranker=_Likes(wanted), seed=1).actions(seen)
    assert torch.all((chosen - wanted).flatten(1).norm(dim=1)
                     <= (plain - wanted).flatten(1).norm(dim=1))


def test_bad_use_is_refused():
    made = policy()
    with pytest.raises(ConfigError, match='best_of is 4'):
        ChunkSampler(made, RuntimeConfig(best_of=4))
    with pytest.raises(ConfigError, match='condition is 1'):
        ChunkSampler(made, RuntimeConfig(condition=1))
    with pytest.raises(LayoutError, match='layout scene-1, 310 numbers'):
        made.context(replace(observations(), scene=torch.zeros(3, 10)))
    seen = observations(cameras=True)
    with pytest.raises(LayoutError, match="sees camera 'head'"):
        policy(CAMERAS).context(replace(seen, images={}))
    large = {name: torch.zeros(3, 64, 48, 3, dtype=torch.uint8) for name in seen.images}
    with pytest.raises(LayoutError, match='48 x 64; the policy sees 32 x 32'):
        policy(CAMERAS).context(replace(seen, images=large))


@pytest.mark.parametrize(('values', 'name'), [
    ({'expert': 'mpl'}, "'mpl'"), ({'horizon': 0}, 'horizon'), ({'coefficients': 31}, 'coeff'),
    ({'expert_width': 30}, 'multiple'), ({'scene_layout': 'scene-9'}, 'scene-9')])
def test_impossible_configurations_are_refused(values, name):
    with pytest.raises(ConfigError, match=name):
        PolicyConfig(**values)


def test_unknown_settings_are_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'horizon'"):
        PolicyConfig.from_dict({'horizn': 30})
    assert PolicyConfig.from_dict(SMALL.as_dict()) == SMALL


@pytest.mark.parametrize('encoding', ['poses', 'plain', 'hands'])
def test_critic_ranks_by_its_smaller_q(encoding):
    torch.manual_seed(0)
    critic = Critic(CriticConfig(encoding=encoding, width=32), SMALL)
    seen = observations(3)
    actions = torch.randn(3, 5, 10, 16)
    values, qs = critic(seen, actions[:, 0])
    assert values.shape == (3, 201)
    assert qs.shape == (2, 3)
    ranks = critic.rank(seen, actions)
    torch.testing.assert_close(ranks[:, 0], pessimistic(qs))


def test_the_critics_gradient_is_that_of_finite_differences():
    torch.manual_seed(0)
    critic = Critic(CriticConfig(width=32), SMALL)
    state = critic.state(observations(1))
    actions = torch.randn(1, 10, 16, requires_grad=True)
    gradient, = torch.autograd.grad(critic.qs(state, actions)[0].sum(), actions)
    assert float(gradient.abs().max()) > 1e-3
    for k, d in ((0, 1), (3, 6), (9, 15)):
        step = torch.zeros_like(actions)
        step[0, k, d] = 1e-2
        with torch.no_grad():
            slope = (critic.qs(state, actions + step) - critic.qs(state, actions - step))[0] / 2e-2
        assert float(slope) == pytest.approx(float(gradient[0, k, d]), abs=2e-4, rel=2e-2)


def test_a_live_observation_is_one_row():
    seen = single(np.zeros(20), np.ones(16), 'pack the shoes',
                  scene=np.zeros(310, dtype=np.float32))
    assert len(seen) == 1
    assert seen.sent.dtype == torch.float32
    assert seen.instructions == ('pack the shoes',)


def test_half_precision_rounds_what_was_learned_and_keeps_the_normalisation(tmp_path):
    made = policy()
    commands = np.random.default_rng(0).normal(0.0, 0.3, (64, SMALL.horizon, 16))
    made.fit(commands, np.pad(commands[:, 0], ((0, 0), (0, 4))), commands[:, 0])
    card = card_of(SMALL, RuntimeConfig(), name='x', algorithm='sft', command='x', seed=0)
    for precision in ('fp32', 'bf16'):
        save_policy(tmp_path / precision, made, card, precision=precision)
    half, _, _ = load_policy(tmp_path / 'bf16')
    learned = dict(made.named_parameters())
    for name, value in half.state_dict().items():
        old = made.state_dict()[name]
        assert torch.equal(value, old.bfloat16().float() if name in learned else old)
    sizes = [(tmp_path / name / 'weights.safetensors').stat().st_size for name in ('bf16', 'fp32')]
    assert sizes[0] < 0.6 * sizes[1]
