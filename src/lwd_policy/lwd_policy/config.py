# SPDX-License-Identifier: Apache-2.0
"""What a policy is made of: all that is needed to build its networks again; part of its card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from g1_description.cameras import CAMERA_NAMES
from g1_description.errors import alternatives
from lwd_data.scene_layout import LAYOUTS
from lwd_policy.errors import ConfigError

ACTION_DIM = 16
"""D: the joints of a command."""
STATE_DIM = 20
"""The joints of a state; the first D are those of a command."""


@dataclass(frozen=True)
class PolicyConfig:
    """Sizes and choices of a flow policy. The default has about 3 M parameters."""

    observation: Literal['scene', 'cameras'] = 'scene'
    """What it sees beside joints and instruction: privileged scene features, or images."""
    scene_layout: str = 'scene-1'
    """Of the scene features."""
    cameras: tuple[str, ...] = CAMERA_NAMES
    """In this order, if it sees images."""
    image_size: int = 128
    """Width and height of the images, pixels."""
    horizon: int = 30
    """H: control steps of a chunk; 30 is one second."""
    arms: Literal['relative', 'absolute'] = 'relative'
    """Arm targets relative to the command before the chunk, or as they are. Grippers are always
    absolute."""
    coefficients: int = 10
    """K: cosines in time that a chunk is made of, 1 to H. Few keep it smooth (10 in one second:
    up to 5 Hz) and the flow small; H describes every chunk exactly."""
    text_width: int = 64
    """Of a word."""
    token_width: int = 128
    """Of an entity of the scene, or a patch of an image."""
    context_width: int = 256
    """Of the backbone's context."""
    expert: Literal['mlp', 'transformer'] = 'mlp'
    """Kind of the action expert."""
    expert_width: int = 384
    expert_depth: int = 4
    expert_heads: int = 8
    """Of a transformer's attention."""
    conditions: int = 0
    """Kinds of condition beside the observation, as RECAP's good and bad; 0 for none."""

    def __post_init__(self) -> None:
        for name in ('image_size', 'horizon', 'coefficients', 'text_width', 'token_width',
        'context_width',
                     'expert_width', 'expert_depth', 'expert_heads'):
            if getattr(self, name) < 1:
                raise ConfigError(f'policy.{name} is {getattr(self, name)}; it must be at least 1')
        for name, value, known in (
                ('observation', self.observation, ('scene', 'cameras')),
                ('arms', self.arms, ('relative', 'absolute')),
                ('expert', self.expert, ('mlp', 'transformer')),
                ('scene_layout', self.scene_layout, tuple(LAYOUTS))):
            if value not in known:
                raise ConfigError(f'policy.{name} is {value!r}{alternatives(value, known)}')
        if self.coefficients > self.horizon:
            raise ConfigError(
                f'policy.coefficients is {self.coefficients}; a chunk of {self.horizon} steps has '
                'at most as many')
        if self.expert_width % self.expert_heads:
            raise ConfigError(
                f'policy.expert_width is {self.expert_width}; it must be a multiple of '
                f'expert_heads, {self.expert_heads}')

    @property
    def shape(self) -> tuple[int, int]:
        """(K, D): shape of a_w."""
        return (self.coefficients, ACTION_DIM)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {name: list(value) if isinstance(value, tuple) else value
                for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> PolicyConfig:
        """Build it from plain data.

        Raises:
            ConfigError: A key is unknown, or a value impossible.
        """
        known = [field.name for field in fields(cls)]
        for key in content:
            if key not in known:
                raise ConfigError(f'policy has no setting {key!r}{alternatives(key, known)}')
        values = dict(content)
        if 'cameras' in values:
            values['cameras'] = tuple(values['cameras'])
        return cls(**values)


LARGE = PolicyConfig(
    observation='cameras', image_size=224, text_width=256, token_width=512, context_width=1024,
    expert='transformer', expert_width=1024, expert_depth=18, expert_heads=16)
"""An expert of about 300 M parameters, the size of the paper's, for a GPU."""
