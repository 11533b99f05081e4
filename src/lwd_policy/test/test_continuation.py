# SPDX-License-Identifier: Apache-2.0
"""Chunks that go on from a chunk that is being played."""

import numpy as np
import pytest
import torch

from lwd_data.scene_layout import LAYOUTS
from lwd_policy.config import PolicyConfig
from lwd_policy.continuation import Committed
from lwd_policy.observation import single
from lwd_policy.policy import FlowPolicy
from lwd_policy.runtime import ChunkSampler, RuntimeConfig

CONFIG = PolicyConfig(text_width=16, token_width=16, context_width=32, expert_width=32,
                      expert_depth=1, expert_heads=4)
HORIZON = CONFIG.horizon


@pytest.fixture(scope='module')
def policy():
    torch.manual_seed(3)
    found = FlowPolicy(CONFIG)
    torch.nn.init.normal_(found.expert.last.weight, std=0.05)
    # As fitted: less motion at higher frequencies.
    scale = 0.4 / (1.0 + torch.arange(CONFIG.coefficients) ** 1.5)
    found.actions.quantiles.scale.copy_(scale[:, None].expand(-1, 16))
    return found


def observation(sent):
    state = np.concatenate([sent, np.zeros(4)])
    return single(state, sent, 'put the can away',
                  scene=np.zeros(LAYOUTS[CONFIG.scene_layout].size, np.float32))


def drawn(policy, sent, committed=None, seed=1, **runtime):
    sampler = ChunkSampler(policy, RuntimeConfig(**runtime), seed=seed)
    return sampler.commands(observation(sent), committed)[0]


MIDDLE = np.full(16, 0.5)


def test_with_nothing_committed_it_is_plain_sampling(policy):
    plain = drawn(policy, MIDDLE)
    assert np.array_equal(plain, drawn(policy, MIDDLE, Committed(np.zeros((0, 16)), 0)))
    assert np.array_equal(plain, drawn(policy, MIDDLE, None))


@pytest.mark.parametrize('fixed', [1, 3, 6, 10])
@pytest.mark.parametrize('seed', [1, 2, 3])
def test_it_goes_on_where_the_committed_steps_end(policy, fixed, seed):
    """Without it a chunk of other noise would begin somewhere else, by several centiradians."""
    old = drawn(policy, MIDDLE, seed=10 + seed)
    at = 8
    left, sent = old[at:], old[at - 1]
    free = drawn(policy, sent, seed=seed)
    bound = drawn(policy, sent, Committed(left, fixed), seed=seed)
    apart = np.max(np.abs(free[:fixed + 1] - left[:fixed + 1]))
    assert np.max(np.abs(bound[:fixed + 1] - left[:fixed + 1])) < 0.7 * apart
    # The seam is no rougher than the old chunk's own motion.
    steps = np.abs(np.diff(np.vstack([left[:fixed], bound[fixed:]]), axis=0))
    own = np.max(np.abs(np.diff(old, axis=0)))
    assert np.max(steps) < own + 0.06


def test_what_is_merely_planned_draws_less_and_less(policy):
    old = drawn(policy, MIDDLE, seed=11)
    left, sent = old[5:], old[4]
    free = drawn(policy, sent, seed=2)
    bound = drawn(policy, sent, Committed(left, 4), seed=2)
    near = np.abs(bound - free)[-3:].mean()
    assert near < np.abs(free[:len(left)] - left).mean()
    weights = Committed(left, 4).weights(HORIZON)
    assert np.all(weights[:4] == 1.0)
    assert np.all(np.diff(weights[3:26]) <= 0.0)
    assert np.all(weights[25:] == 0.0)


def test_more_committed_than_a_chunk_has_is_cut(policy):
    long = np.repeat(MIDDLE[None], HORIZON + 10, axis=0)
    bound = drawn(policy, MIDDLE, Committed(long, HORIZON + 10))
    assert bound.shape == (HORIZON, 16)
    np.testing.assert_allclose(bound, long[:HORIZON], atol=0.05)


def test_a_committed_prefix_holds_for_each_of_several_drawn_chunks(policy):
    class Last:
        def rank(self, observation, actions):
            return torch.arange(actions.shape[1], dtype=torch.float32)[None]

    old = drawn(policy, MIDDLE, seed=12)
    sampler = ChunkSampler(policy, RuntimeConfig(best_of=4), ranker=Last(), seed=5)
    bound = sampler.commands(observation(old[9]), Committed(old[10:], 5))[0]
    free = drawn(policy, old[9], seed=5)
    assert np.max(np.abs(bound[:5] - old[10:15])) < np.max(np.abs(free[:5] - old[10:15]))


def test_what_is_rough_in_the_committed_steps_is_not_extrapolated(policy):
    """A chunk is committed to the last one, that one to the one before: nothing may grow."""
    old = drawn(policy, MIDDLE, seed=11)
    left, sent, kink = old[8:], old[7], np.zeros((5, 16))
    kink[:, :7] = 0.005 * np.array([1.0, -1.0, 1.0, -1.0, 1.0])[:, None]
    rough = left.copy()
    rough[:5] += kink
    calm, shaken = (drawn(policy, sent, Committed(one, 5), seed=2) for one in (left, rough))
    assert np.max(np.abs(shaken - calm)) < 2 * 0.005
