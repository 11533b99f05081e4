# SPDX-License-Identifier: Apache-2.0
"""Policies and critics to and from folders: networks, the way they are meant to be used, cards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch

from g1_description.joints import COMMAND_NAMES
from lwd_policy import weights
from lwd_policy.card import PolicyCard, PolicyLayout
from lwd_policy.config import PolicyConfig
from lwd_policy.critic import Critic, CriticConfig
from lwd_policy.errors import ConfigError, LayoutError, WeightsError
from lwd_policy.policy import FlowPolicy
from lwd_policy.runtime import RuntimeConfig
from lwd_policy.unfilled import Unfilled

POLICY, CRITIC = 'policy', 'critic'
Precision = Literal['fp32', 'bf16']


def card_of(
    policy: PolicyConfig, runtime: RuntimeConfig, *, name: str, algorithm: str, command: str,
    seed: int, **more: Any,
) -> PolicyCard:
    """Return the card of a policy, to be saved with its weights.

    Args:
        policy: Its configuration.
        runtime: How it is meant to be used.
        name: Of its line.
        algorithm: That trained it.
        command: That made it.
        seed: Of the run.
        more: Further fields of the card.
    """
    return PolicyCard(
        name=name, architecture={POLICY: policy.as_dict(), 'runtime': asdict(runtime)},
        observation=policy.observation, layout=_layout(policy), algorithm=algorithm,
        command=command, seed=seed, **more)


def _layout(policy: PolicyConfig) -> PolicyLayout:
    return PolicyLayout(COMMAND_NAMES, policy.horizon,
                        policy.scene_layout if policy.observation == 'scene' else '')


def save_policy(
    folder: Path, policy: FlowPolicy, card: PolicyCard, *, precision: Precision = 'fp32',
) -> PolicyCard:
    """Write a policy; returns its card with the version.

    Args:
        folder: Where.
        policy: What.
        card: Its card.
        precision: Of what it learned. bf16 halves the file, and a delta after some updates is a
            sixth: small updates change no bit of most weights. Its normalisation stays in fp32.
    """
    tensors = _tensors(policy)
    if precision == 'bf16':
        for name, parameter in policy.named_parameters():
            if parameter.dtype == torch.float32:
                tensors[name] = tensors[name].bfloat16()
    return weights.save(folder, tensors, card)


def load_policy(
    folder: Path, *, known: str = '',
) -> tuple[FlowPolicy, RuntimeConfig, PolicyCard]:
    """Read a policy.

    Args:
        folder: Where.
        known: Version that this process has just found its weights to be; see weights.load.

    Raises:
        PolicyError: It is missing, damaged, or does not fit this robot.
    """
    tensors, card = weights.load(folder, known=known)
    if card.layout.joints != COMMAND_NAMES:
        raise LayoutError(
            f'{folder}: the policy moves joints {", ".join(card.layout.joints)}; this robot has '
            f'{", ".join(COMMAND_NAMES)}')
    try:
        with Unfilled():
            policy = FlowPolicy(PolicyConfig.from_dict(card.architecture[POLICY]))
        runtime = RuntimeConfig(**card.architecture.get('runtime', {}))
    except (KeyError, TypeError, ConfigError) as error:
        raise WeightsError(
            f'{folder}: architecture of the card describes no policy of this version: '
            f'{error}') from error
    _fill(policy, tensors, folder)
    return policy, runtime, card


def save_critic(
    folder: Path, critic: Critic, policy: PolicyConfig, card: PolicyCard,
) -> PolicyCard:
    """Write the critic of a policy; `card` is the policy's, the critic's own is returned."""
    own = card.child(
        name=f'{card.name} critic', parent='', metrics=dict(card.metrics),
        architecture={POLICY: policy.as_dict(), CRITIC: asdict(critic.config)})
    return weights.save(folder, _tensors(critic), own)


def load_critic(folder: Path) -> Critic:
    """Read a critic.

    Raises:
        PolicyError: It is missing, damaged, or is none.
    """
    tensors, card = weights.load(folder)
    try:
        with Unfilled():
            critic = Critic(CriticConfig(**card.architecture[CRITIC]),
                            PolicyConfig.from_dict(card.architecture[POLICY]))
    except (KeyError, TypeError, ConfigError) as error:
        raise WeightsError(f'{folder}: the card describes no critic: {error}') from error
    _fill(critic, tensors, folder)
    return critic.eval()


def _tensors(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().contiguous()
            for name, value in network.state_dict().items()}


def _fill(network: torch.nn.Module, tensors: Mapping[str, torch.Tensor], folder: Path) -> None:
    try:
        network.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise WeightsError(f'{folder}: the weights do not fit the architecture of the card: '
                           f'{error}') from error
