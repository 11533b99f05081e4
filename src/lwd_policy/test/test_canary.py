# SPDX-License-Identifier: Apache-2.0
"""Actions that no robot should follow are refused, each for its own reason."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_policies import CONFIG, tiny, trained

from g1_description.joints import HOME
from lwd_data.replay.batch import Observations
from lwd_policy import canary
from lwd_policy.canary import CanaryConfig
from lwd_policy.config import PolicyConfig
from lwd_policy.errors import CanaryError
from lwd_policy.runtime import RuntimeConfig


def _still(count=2, horizon=8):
    return np.tile(HOME, (count, horizon, 1)), np.tile(HOME, (count, 1))


def test_a_calm_policy_passes_and_is_compared_with_the_running_one():
    policy, observation = tiny(), canary.neutral(CONFIG)
    found = canary.commands(policy, RuntimeConfig(), observation)
    running = canary.commands(trained(policy, 1), RuntimeConfig(), observation)
    assert found.shape == (1, 8, 16)
    canary.check(found, observation.sent.numpy(), CanaryConfig(), running=running)
    again = canary.commands(policy, RuntimeConfig(), observation)
    assert found.tobytes() == again.tobytes()


def test_numbers_that_are_none_are_refused():
    policy = tiny()
    with torch.no_grad():
        next(policy.expert.parameters()).fill_(float('inf'))
    found = canary.commands(policy, RuntimeConfig(), canary.neutral(CONFIG))
    with pytest.raises(CanaryError, match='not finite'):
        canary.check(found, np.tile(HOME, (1, 1)), CanaryConfig())


@pytest.mark.parametrize(('change', 'text'), [
    (lambda c: c.__setitem__((1, 3, 7), 4.5), r'observation 1, step 3, idx41.*3\.50 beyond'),
    (lambda c: c.__setitem__((0, 0, 2), c[0, 0, 2] + 0.9), r'step 0, .*times its greatest speed'),
    (lambda c: c.__iadd__(0.05), r'root mean square.*canary\.distance'),
])
def test_commands_beyond_what_is_sane_are_refused(change, text):
    found, sent = _still()
    before = found.copy()
    change(found)
    with pytest.raises(CanaryError, match=text):
        canary.check(found, sent, CanaryConfig(distance=0.03), running=before)
    canary.check(before, sent, CanaryConfig(), running=before)


def test_observations_of_another_layout_are_refused():
    images = canary.neutral(PolicyConfig(observation='cameras', image_size=16))
    with pytest.raises(CanaryError, match='another layout'):
        canary.commands(tiny(), RuntimeConfig(), images)


def test_observations_survive_the_file(tmp_path):
    rng = np.random.default_rng(0)
    batch = Observations(
        rng.normal(size=(20, 20)).astype(np.float32), rng.normal(size=(20, 16)).astype(np.float32),
        np.zeros((20, 0), dtype=np.float32),
        {'head': rng.integers(0, 255, (20, 8, 8, 3), dtype=np.uint8)},
        np.array([2, 0] * 10))
    recorded = canary.record(batch, ('a', 'b', 'pick ü'), count=6)
    canary.save(tmp_path / 'canary', recorded)
    found = canary.load(tmp_path / 'canary')
    assert len(found) == 6
    assert torch.equal(found.state, recorded.state)
    assert torch.equal(found.images['head'], recorded.images['head'])
    assert [found.instructions[i] for i in found.instruction] == ['pick ü', 'a'] * 3
    (tmp_path / 'canary').write_bytes((tmp_path / 'canary').read_bytes()[:50])
    with pytest.raises(CanaryError, match='holds no observations'):
        canary.load(tmp_path / 'canary')
