# SPDX-License-Identifier: Apache-2.0
"""TD targets: terminals, time-outs, spans, and the choice of n."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from batches import make_batch

from lwd_learner.errors import ConfigError, DataError
from lwd_learner.td import TdConfig, outcomes, returns

SUCCESS, FAILURE, TIMEOUT = 1, 2, 3


def test_a_window_that_goes_on_is_bootstrapped_at_its_span():
    batch = make_batch(span=[30, 300], end=[0, 0], rewards=300)
    found = returns(batch, TdConfig(gamma=0.9999))
    targets = found.targets(torch.tensor([0.5, 0.5]))
    np.testing.assert_allclose(targets, [0.5 * 0.9999**30, 0.5 * 0.9999**300], rtol=1e-6)


def test_a_success_is_its_discounted_reward_and_nothing_else():
    batch = make_batch(span=[47], end=[SUCCESS], rewards=300)
    batch.rewards[0, 46] = 1.0
    targets = returns(batch, TdConfig(gamma=0.99)).targets(torch.tensor([9.0]))
    np.testing.assert_allclose(targets, [0.99**46], rtol=1e-6)


@pytest.mark.parametrize('end', [FAILURE, TIMEOUT])
def test_failures_and_timeouts_end_at_zero(end):
    batch = make_batch(span=[47], end=[end], rewards=300)
    assert float(returns(batch, TdConfig()).targets(torch.tensor([9.0]))) == 0.0


def test_timeouts_may_be_bootstrapped():
    batch = make_batch(span=[40, 40], end=[TIMEOUT, FAILURE], rewards=300)
    found = returns(batch, TdConfig(gamma=0.999, bootstrap_timeouts=True))
    np.testing.assert_allclose(
        found.targets(torch.tensor([0.7, 0.7])), [0.7 * 0.999**40, 0.0], rtol=1e-6)


def test_rewards_within_the_window_add_up():
    batch = make_batch(span=[60], end=[0], rewards=60)
    batch.rewards[0, 3], batch.rewards[0, 50] = 0.5, 0.25
    found = returns(batch, TdConfig(gamma=0.9))
    assert float(found.reward) == pytest.approx(0.5 * 0.9**3 + 0.25 * 0.9**50, rel=1e-5)


def test_what_came_of_an_episode_is_its_discounted_success_or_not_known_yet():
    batch = make_batch(span=[30] * 4, end=[0] * 4, rewards=30)
    batch = replace(batch, outcome=np.array([SUCCESS, FAILURE, TIMEOUT, 0], np.uint8),
                    to_end=np.array([100, 100, 100, 100]))
    np.testing.assert_allclose(
        outcomes(batch, TdConfig(gamma=0.99)), [0.99**100, 0.0, 0.0, np.nan], rtol=1e-6)


def test_n_depends_on_task_length_and_stage():
    config = TdConfig(long_chunks=15.0, online_n=3)
    chunks = {'restock': 7.5, 'shoebox': 27.0}
    assert config.n_steps(chunks, 'offline') == {'restock': 1, 'shoebox': 10}
    assert config.n_steps(chunks, 'offline', settle=True) == {'restock': 1, 'shoebox': 1}
    assert config.n_steps(chunks, 'online') == {'restock': 1, 'shoebox': 3}
    assert TdConfig(fixed_n=5).n_steps(chunks, 'online') == {'restock': 5, 'shoebox': 5}


def test_a_reward_that_is_not_finite_is_named():
    batch = make_batch(span=[30, 30], end=[0, 0], rewards=30)
    batch.rewards[1, 4] = np.nan
    with pytest.raises(DataError, match='episode 1, window at step 17'):
        returns(batch, TdConfig())


@pytest.mark.parametrize(
    'values', [{'gamma': 0.0}, {'gamma': 1.5}, {'long_n': 0}, {'fixed_n': -1}])
def test_impossible_settings_are_refused(values):
    with pytest.raises(ConfigError, match=next(iter(values))):
        TdConfig(**values)
