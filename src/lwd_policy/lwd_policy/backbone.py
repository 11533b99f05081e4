# SPDX-License-Identifier: Apache-2.0
"""The backbone: observation and instruction to one context, computed once per inference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lwd_data.scene_layout import LAYOUTS
from lwd_policy.config import ACTION_DIM, STATE_DIM, PolicyConfig
from lwd_policy.errors import LayoutError
from lwd_policy.image_encoder import ImageTokens
from lwd_policy.kinematics import HandKinematics, reach
from lwd_policy.linear import Linear
from lwd_policy.looks import mentioned
from lwd_policy.normalise import Quantiles
from lwd_policy.observation import Observation
from lwd_policy.scene_encoder import SceneTokens, TokenPooling
from lwd_policy.text import TextEncoder
from lwd_policy.weights_file import version_of

JOINTS = STATE_DIM + ACTION_DIM
"""Numbers of Look.joints."""
# rad; a joint at 1 rad/s is about this far behind.
_BEHIND = 0.1
# Inputs beyond it, of a spread of about one, look as if they were there.
_EDGE = 4.0
# Of `look`; raised when the same weights give other contexts.
_RULES = 1


@dataclass(frozen=True)
class Look:
    """What a backbone makes of B observations."""

    context: Tensor
    """(B, context_width), without a condition."""
    text: Tensor
    """(B, text_width)."""
    joints: Tensor
    """(B, JOINTS) state and what it lacks to the last command, normalised."""
    images: Tensor | None
    """(B, N, token_width) tokens of the images, if it sees them."""
    mention: Tensor | None
    """(B, L) which looks the instructions name, if it sees the scene."""


class Backbone(nn.Module):
    """Instruction and joints ask, the scene's or the images' tokens answer."""

    def __init__(self, config: PolicyConfig) -> None:
        """Build it as configured."""
        super().__init__()
        self.config = config
        self.joints = Quantiles((STATE_DIM,), floor=0.05)
        self.text = TextEncoder(config.text_width)
        query = config.text_width + JOINTS
        self.scene: SceneTokens | None = None
        self.image: ImageTokens | None = None
        if config.observation == 'scene':
            layout = LAYOUTS[config.scene_layout]
            self.scene = SceneTokens(layout, config.token_width, points=2, reach=True)
            self.hands = HandKinematics()
            hands = layout.groups[0]
            query += hands.count * hands.size
        else:
            self.image = ImageTokens(config.cameras, config.image_size, config.token_width)
        self.pool = TokenPooling(config.token_width, query, config.context_width)
        self.condition = nn.Embedding(config.conditions + 1, config.context_width)
        nn.init.normal_(self.condition.weight, std=0.5)
        self.mix = nn.Sequential(
            Linear(config.context_width + query, 2 * config.context_width), nn.GELU(),
            Linear(2 * config.context_width, config.context_width))
        self.identity = ''
        """Hash of weights and settings while they are known to stay as they are; see `seal`."""
        self.register_load_state_dict_post_hook(_unseal)

    def seal(self) -> None:
        """Say that the weights stay as they are: contexts may be kept, by `identity`."""
        tensors = {name: value.detach() for name, value in self.state_dict().items()}
        self.identity = version_of(tensors, {'rules': _RULES, **self.config.as_dict()})

    def unseal(self) -> None:
        """Say that the weights may change: contexts that were kept are not used any more."""
        self.identity = ''

    def fit(self, state: NDArray[np.floating]) -> None:
        """Fit the normalisation to states, (N, 20)."""
        self.unseal()
        self.joints.fit(state)

    def forward(self, observation: Observation) -> Tensor:
        """Return the context, (B, context_width); one that was kept where it is this backbone's.

        Raises:
            LayoutError: The observation lacks what this policy sees, or has it in another size.
        """
        kept = observation.kept
        if kept is not None and self.identity and kept.backbone == self.identity:
            context = kept.context
        else:
            context = self.look(observation).context
        if self.config.conditions:
            kind = observation.condition
            if kind is None:
                kind = torch.zeros(len(observation), dtype=torch.long, device=context.device)
            context = context + self.condition(kind)
        return context

    def look(self, observation: Observation) -> Look:
        """Return the context, and what else a critic may want of the same observations.

        Raises:
            LayoutError: As `forward`.
        """
        text = self.text(observation.instructions)[observation.instruction]
        # How far the robot is behind its command tells how fast it moves.
        behind = (observation.sent - observation.state[:, :ACTION_DIM]) / _BEHIND
        joints = torch.cat([self.joints(observation.state), behind], dim=-1).clamp(-_EDGE, _EDGE)
        query, images, mention = [text, joints], None, None
        if self.scene is not None:
            mention = mentioned(observation.instructions).to(text.device)[observation.instruction]
            tokens, there, hands = self._scene(observation, mention)
            query.append(hands)
        else:
            tokens = images = self._images(observation)
            there = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        asked = torch.cat(query, dim=-1)
        pooled = self.pool(tokens, there, asked)
        context = self.mix(torch.cat([pooled, asked], dim=-1))
        return Look(context, text, joints, images, mention)

    def _scene(
        self, observation: Observation, mention: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        assert self.scene is not None  # noqa: S101  the caller has looked
        layout = self.scene.layout
        if observation.scene.shape[-1] != layout.size:
            raise LayoutError(
                f'the policy sees scene features of layout {layout.name}, {layout.size} numbers; '
                f'the observation has {observation.scene.shape[-1]}')
        state = observation.state
        with torch.no_grad(), torch.autocast(state.device.type, enabled=False):
            moves = reach(self.hands.jacobian(state[:, :ACTION_DIM], state[:, ACTION_DIM:]))
        tokens, there = self.scene(
            observation.scene, self.scene.hands(observation.scene), mention,
            moves.clamp(-8.0, 8.0))
        group = layout.groups[0]
        return tokens, there, observation.scene[:, :group.count * group.size]

    def _images(self, observation: Observation) -> Tensor:
        assert self.image is not None  # noqa: S101  the caller has looked
        size = self.config.image_size
        for name in self.config.cameras:
            if name not in observation.images:
                raise LayoutError(
                    f'the policy sees camera {name!r}; the observation has '
                    f'{", ".join(observation.images) or "no camera"}')
            shape = tuple(observation.images[name].shape[1:])
            if shape != (size, size, 3):
                raise LayoutError(
                    f'images of {name} are {shape[1]} x {shape[0]}; the policy sees {size} x '
                    f'{size}')
        return self.image(observation.images)


def _unseal(backbone: Backbone, keys: object) -> None:
    """Forget a hash when other weights are loaded."""
    del keys
    backbone.unseal()
