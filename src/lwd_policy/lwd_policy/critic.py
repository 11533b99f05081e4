# SPDX-License-Identifier: Apache-2.0
"""The critic: one encoder, a categorical V and two Q of whole chunks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lwd_policy.action_encoding import KINDS, ActionEncoding, Kind
from lwd_policy.actions import ActionSpace
from lwd_policy.backbone import JOINTS, Backbone
from lwd_policy.config import PolicyConfig
from lwd_policy.errors import ConfigError
from lwd_policy.linear import Linear
from lwd_policy.observation import Observation
from lwd_policy.scene_encoder import SceneTokens, TokenPooling


@dataclass(frozen=True)
class CriticConfig:
    """Sizes and what the critic sees of an action."""

    encoding: Kind = 'poses'
    """How it sees an action: poses (of the hands by forward kinematics, and joint targets), plain
    (joint targets alone), or hands (their poses alone)."""
    width: int = 256
    """Of the heads' hidden layers."""
    outputs: int = 201
    """Of V: atoms of DIVL; 1 for a plain value."""
    start: float = 0.3
    """What Q says before it is trained: about the pool's mean outcome."""

    def __post_init__(self) -> None:
        if self.width < 8 or self.outputs < 1:
            raise ConfigError(f'critic: width is {self.width} and outputs {self.outputs}; they '
                              'must be at least 8 and 1')
        if self.encoding not in KINDS:
            raise ConfigError(
                f'critic.encoding is {self.encoding!r}; known: {", ".join(KINDS)}')


class QHead(nn.Module):
    """One Q: pools the scene as seen from where the chunk brings the hands."""

    def __init__(self, config: CriticConfig, policy: PolicyConfig, query: int) -> None:
        super().__init__()
        width = config.width
        self.query = nn.Sequential(Linear(query, width), nn.LayerNorm(width), nn.GELU())
        self.pool = TokenPooling(policy.token_width, width, width)
        self.out = nn.Sequential(
            Linear(2 * width, width), nn.LayerNorm(width), nn.GELU(),
            Linear(width, width), nn.LayerNorm(width), nn.GELU(), Linear(width, 1))
        last = self.out[-1]
        assert isinstance(last, Linear)  # noqa: S101  it is made just above
        nn.init.constant_(last.bias, config.start)

    def forward(self, tokens: Tensor, there: Tensor, query: Tensor) -> Tensor:
        """Return (B,)."""
        asked = self.query(query)
        pooled = self.pool(tokens, there, asked)
        return self.out(torch.cat([pooled, asked], dim=-1))[..., 0]


class Critic(nn.Module):
    """V(s) and Q(s, a), a being a chunk as the networks see it."""

    def __init__(self, config: CriticConfig, policy: PolicyConfig) -> None:
        """Build it for the observations and chunks of a policy."""
        super().__init__()
        self.config = config
        plain = replace(policy, conditions=0)
        self.encoder = Backbone(plain)
        self.actions = ActionSpace(policy.horizon, policy.arms, policy.coefficients)
        self.encoding = ActionEncoding(config.encoding, policy.horizon, policy.coefficients)
        width = config.width
        self.v = nn.Sequential(
            Linear(policy.context_width, width), nn.LayerNorm(width), nn.GELU(),
            Linear(width, width), nn.LayerNorm(width), nn.GELU(),
            Linear(width, config.outputs))
        self.tokens: SceneTokens | None = None
        if self.encoder.scene is not None:
            self.tokens = SceneTokens(
                self.encoder.scene.layout, policy.token_width, 2 + self.encoding.points)
        query = policy.context_width + policy.text_width + JOINTS + self.encoding.width
        self.q = nn.ModuleList(QHead(config, plain, query) for _ in range(2))

    def fit(
        self, commands: NDArray[np.floating], state: NDArray[np.floating],
        sent: NDArray[np.floating],
    ) -> None:
        """Fit the normalisation to chunks, (N, H, 16), states, (N, 20), and commands, (N, 16)."""
        self.actions.fit(commands, sent)
        self.encoder.fit(state)

    def values(self, observation: Observation) -> Tensor:
        """Return V's outputs, (B, outputs)."""
        return self.v(self.encoder(observation))

    def state(self, observation: Observation) -> State:
        """Return what of the observations Q needs, to be used with several chunks each."""
        look = self.encoder.look(observation)
        asked = torch.cat([look.context, look.text, look.joints], dim=-1)
        return State(asked, observation.state, observation.sent, observation.scene, look.images,
                     look.mention)

    def qs(self, state: State, actions: Tensor) -> Tensor:
        """Return both Q, (2, B), of chunks (B, K, 16) as the networks see them."""
        # Judged by what the robot would do: a gripper that is told to be more than shut is shut,
        # and no value may be had there.
        commands = self.actions.within(self.actions.decode(actions, state.sent))
        features, points = self.encoding(
            self.actions.encode(commands, state.sent), commands, state.joints)
        if self.tokens is not None:
            seen = torch.cat([self.tokens.hands(state.scene), points], dim=1)
            assert state.mention is not None  # noqa: S101  made with the tokens
            tokens, there = self.tokens(state.scene, seen, state.mention)
        else:
            assert state.images is not None  # noqa: S101  a critic without scene has images
            tokens = state.images
            there = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        query = torch.cat([state.query, features], dim=-1)
        return torch.stack([head(tokens, there, query) for head in self.q])

    @torch.no_grad()
    def rank(self, observation: Observation, actions: Tensor) -> Tensor:
        """Return Qbar, (B, n), of n chunks each, (B, n, K, 16), as the networks see them."""
        count = actions.shape[1]
        found = self.qs(self.state(observation).repeated(count), actions.flatten(0, 1))
        return pessimistic(found).unflatten(0, (-1, count))

    def forward(self, observation: Observation, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return V's outputs, (B, outputs), and both Q, (2, B): what training differentiates."""
        state = self.state(observation)
        return self.v(state.query[:, :self.encoder.config.context_width]), self.qs(state, actions)


@dataclass(frozen=True)
class State:
    """What Q needs of B observations."""

    query: Tensor
    """(B, ...) context, text, joints."""
    joints: Tensor
    """(B, 20)."""
    sent: Tensor
    """(B, 16) the command before the chunk."""
    scene: Tensor
    """(B, F)."""
    images: Tensor | None
    """(B, N, width) tokens of the images."""
    mention: Tensor | None
    """(B, L) looks that the instructions name."""

    def repeated(self, times: int) -> State:
        """Return each so many times in a row: (B * times, ...)."""
        def repeat(tensor: Tensor) -> Tensor:
            return tensor.repeat_interleave(times, dim=0)

        return State(repeat(self.query), repeat(self.joints), repeat(self.sent),
                     repeat(self.scene),
                     None if self.images is None else repeat(self.images),
                     None if self.mention is None else repeat(self.mention))


def pessimistic(qs: Tensor) -> Tensor:
    """Return Qbar, (B,): the smaller of both, (2, B)."""
    return qs.min(dim=0).values
