# SPDX-License-Identifier: Apache-2.0
"""Policies with random weights, saved in a moment."""

from __future__ import annotations

import torch

from lwd_policy.config import PolicyConfig
from lwd_policy.policy import FlowPolicy
from lwd_policy.runtime import RuntimeConfig
from lwd_policy.store import card_of, save_policy

SIZES = {'text_width': 16, 'token_width': 16, 'context_width': 32, 'expert_width': 32,
         'expert_depth': 1, 'expert_heads': 4}


def save(folder, *, seed=0, scale=0.02, break_it=None, **config):
    """Save a policy that moves a little; returns its version.

    With `break_it` the networks are given to be damaged before they are saved.
    """
    made = PolicyConfig(**SIZES, **config)
    torch.manual_seed(seed)
    policy = FlowPolicy(made)
    torch.nn.init.normal_(policy.expert.last.weight, std=0.02)
    # Small motions: a random policy shall not run into everything.
    policy.actions.quantiles.scale.fill_(scale)
    if break_it is not None:
        break_it(policy)
    card = card_of(made, RuntimeConfig(), name='test', algorithm='none', command='test', seed=seed)
    return save_policy(folder, policy, card).version
