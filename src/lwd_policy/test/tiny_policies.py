# SPDX-License-Identifier: Apache-2.0
"""Policies small enough to make dozens in a test, saved as those of a learner."""

from __future__ import annotations

import copy

import numpy as np
import torch

from g1_description.joints import HOME, STATE_JOINTS
from lwd_policy import canary
from lwd_policy.config import PolicyConfig
from lwd_policy.payload import CANARY_FILE
from lwd_policy.policy import FlowPolicy
from lwd_policy.runtime import RuntimeConfig
from lwd_policy.store import card_of, save_policy

CONFIG = PolicyConfig(
    horizon=8, coefficients=3, text_width=8, token_width=16, context_width=16, expert_width=16,
    expert_depth=1)


def tiny(seed=0):
    """Return a policy that hardly moves from where the robot is."""
    torch.manual_seed(seed)
    policy = FlowPolicy(CONFIG)
    rng = np.random.default_rng(seed)
    commands = HOME + rng.normal(0.0, 0.02, (64, CONFIG.horizon, 16))
    state = np.zeros((64, len(STATE_JOINTS)))
    state[:, :16] = commands[:, 0]
    policy.fit(commands.clip(-1.4, 1.4), state, np.tile(HOME, (64, 1)))
    return policy


def trained(policy, seed):
    """Return a policy a few updates on."""
    after = copy.deepcopy(policy)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in after.parameters():
            parameter += 1e-4 * torch.randn(parameter.shape, generator=generator)
    return after


def saved(folder, policy, *, parent='', with_canary=True, **more):
    """Save a policy and its canary; returns its card."""
    card = save_policy(folder, policy, card_of(
        policy.config, RuntimeConfig(steps=2), name='tiny', algorithm='bc', command='test',
        seed=0, parent=parent, **more))
    if with_canary:
        canary.save(folder / CANARY_FILE, canary.neutral(policy.config))
    return card
