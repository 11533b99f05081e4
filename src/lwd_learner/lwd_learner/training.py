# SPDX-License-Identifier: Apache-2.0
"""All settings of a training run, and what they build."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from lwd_learner.algorithms.base import Algorithm
from lwd_learner.algorithms.hg_dagger import HgDagger, HgDaggerConfig
from lwd_learner.algorithms.iql_qam import make_iql_qam
from lwd_learner.algorithms.lwd import Lwd, LwdConfig
from lwd_learner.algorithms.recap import GOOD, Recap, RecapConfig
from lwd_learner.algorithms.sft import Sft, SftConfig
from lwd_learner.engine import Engine, EngineConfig
from lwd_learner.trainer import TrainerConfig
from lwd_policy.config import PolicyConfig

Name = Literal['lwd', 'sft', 'hg_dagger', 'recap', 'iql_qam']


@dataclass(frozen=True)
class TrainConfig:
    """Of `lwd train` and of the learner."""

    algorithm: Name = 'lwd'
    """What is trained."""
    seed: int = 0
    """Of weights, noise and draws."""
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    sft: SftConfig = field(default_factory=SftConfig)
    hg_dagger: HgDaggerConfig = field(default_factory=HgDaggerConfig)
    recap: RecapConfig = field(default_factory=RecapConfig)
    lwd: LwdConfig = field(default_factory=LwdConfig)
    """Of lwd, and of iql_qam."""
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)


def policy_config(config: TrainConfig) -> PolicyConfig:
    """Return the policy that the algorithm needs: RECAP's knows its conditions."""
    if config.algorithm == 'recap':
        return replace(config.policy, conditions=GOOD)
    return config.policy


def make_algorithm(config: TrainConfig, engine: Engine) -> Algorithm:
    """Return the algorithm that a configuration names."""
    policy = policy_config(config)
    seed = config.seed
    if config.algorithm == 'sft':
        return Sft(config.sft, policy, engine, seed=seed)
    if config.algorithm == 'hg_dagger':
        return HgDagger(config.hg_dagger, policy, engine, seed=seed)
    if config.algorithm == 'recap':
        return Recap(config.recap, policy, engine, seed=seed)
    if config.algorithm == 'iql_qam':
        return make_iql_qam(config.lwd, policy, engine, seed=seed)
    return Lwd(config.lwd, policy, engine, seed=seed)
