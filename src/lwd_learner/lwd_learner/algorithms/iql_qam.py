# SPDX-License-Identifier: Apache-2.0
"""IQL's expectile instead of DIVL, everything else as in LWD: the ablation of the value."""

from __future__ import annotations

from dataclasses import replace

from lwd_learner.algorithms.lwd import Lwd, LwdConfig
from lwd_learner.engine import Engine
from lwd_policy.config import PolicyConfig


def make_iql_qam(
    config: LwdConfig, policy: PolicyConfig, engine: Engine, *, seed: int = 0,
) -> Lwd:
    """Return LWD with an expectile for its value."""
    changed = replace(config, value=replace(config.value, value='expectile'))
    algorithm = Lwd(changed, policy, engine, seed=seed)
    algorithm.name = 'iql_qam'
    return algorithm
