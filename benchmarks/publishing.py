# SPDX-License-Identifier: Apache-2.0
"""What `swap` and `weights` publish, and the node that does it."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import nn

from lwd_learner_bridge.online_config import OnlineConfig
from lwd_policy import canary
from lwd_policy.payload import CANARY_FILE
from lwd_policy.policy import FlowPolicy
from lwd_policy.runtime import RuntimeConfig
from lwd_policy.signature import new_keys
from lwd_policy.store import card_of, save_policy

# Of AdamW in the midst of training after 50 updates at a rate of 2e-5; see benchmarks/delta.py.
MOVE = 50 * 2e-5 * 0.3


def prepare(folder: Path) -> list[str]:
    """Make keys and a store in a folder; returns the command of its publisher node."""
    private, _ = new_keys(folder / 'keys')
    store = folder / 'store'
    store.mkdir()
    return [sys.executable, '-m', 'lwd_learner_bridge.publisher_node', '--ros-args',
            '-p', f'published:={folder / "published"}', '-p', f'signing_key:={private}',
            '-p', f'offers.store_url:=file://{store}']


def save_version(folder: Path, policy: FlowPolicy, parent: str) -> str:
    """Save a policy as a learner does; returns its version."""
    version = save_policy(folder, policy, card_of(
        policy.config, RuntimeConfig(), name='bench', algorithm='none', command='bench', seed=0,
        parent=parent), precision=OnlineConfig().precision).version
    canary.save(folder / CANARY_FILE, canary.neutral(policy.config))
    return version


@torch.no_grad()
def move(policy: nn.Module) -> None:
    """Move a policy's weights as 50 updates do."""
    for parameter in policy.parameters():
        parameter += MOVE * torch.randn_like(parameter)
