# SPDX-License-Identifier: Apache-2.0
"""Stored observations on which a policy must act sanely before a robot runs it.

The learner records some from its replay and puts them beside the weights (canary.safetensors); a
robot that gets none takes those of the policy before, or a neutral one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from g1_description.joints import COMMAND_JOINTS, GRIPPER_INDICES, HOME, STATE_JOINTS, limits
from lwd_data.replay.batch import Observations
from lwd_data.scene_layout import LAYOUTS
from lwd_policy.config import PolicyConfig
from lwd_policy.errors import CanaryError, PolicyError
from lwd_policy.observation import Observation, from_replay, single
from lwd_policy.policy import FlowPolicy
from lwd_policy.runtime import ChunkSampler, RuntimeConfig

COUNT = 8
"""Of observations in one."""
_IMAGE = 'image.'
_CONTROL_RATE = 30.0  # Hz
_LOWER, _UPPER = limits(COMMAND_JOINTS)
_SPEED = np.array([joint.velocity for joint in COMMAND_JOINTS])
# A gripper is told to open or close at once; how fast it does is the driver's business.
_SPEED[GRIPPER_INDICES] = np.inf
_SLACK = np.ones(len(COMMAND_JOINTS))
_SLACK[GRIPPER_INDICES] = 10.0


@dataclass(frozen=True)
class CanaryConfig:
    """What actions are sane."""

    margin: float = field(default=0.3, metadata={'range': (0.0, 10.0)})
    """How far an arm's command may lie beyond a joint's limits, rad. The policy's commands are
    clipped to the limits anyway; far beyond them it knows nothing. Grippers, which open and close
    at once and overshoot as a step in a few cosines does, may ten times as far, closure."""
    speed: float = field(default=3.0, metadata={'range': (0.1, 100.0)})
    """How fast the arms' commands may change, in multiples of a joint's greatest speed."""
    distance: float = field(default=0.5, metadata={'range': (0.0, 100.0)})
    """How far the commands may be from those of the running policy with the same noise: root mean
    square, rad; 0 for whatever distance."""


def record(batch: Observations, instructions: Sequence[str], *, count: int = COUNT) -> Observation:
    """Return the first observations of a replay batch, to be saved with a policy."""
    chosen = slice(0, count)
    return from_replay(Observations(
        batch.state[chosen], batch.sent[chosen], batch.scene[chosen],
        {name: image[chosen] for name, image in batch.images.items()},
        batch.instruction[chosen]), instructions)


def save(file: Path, observation: Observation) -> None:
    """Write observations.

    Raises:
        CanaryError: The disk refuses.
    """
    tensors = {
        'state': observation.state, 'sent': observation.sent, 'scene': observation.scene,
        'instruction': observation.instruction,
        **{_IMAGE + name: image for name, image in observation.images.items()}}
    data = safetensors.torch.save(
        {name: tensor.cpu().contiguous() for name, tensor in tensors.items()},
        metadata={'instructions': json.dumps(observation.instructions)})
    try:
        file.write_bytes(data)
    except OSError as error:
        raise CanaryError(f'{file} cannot be written: {error}') from error


def load(file: Path) -> Observation:
    """Read observations.

    Raises:
        CanaryError: It is missing, damaged, or no canary.
    """
    try:
        with safe_open(file, framework='pt') as content:
            instructions = tuple(json.loads((content.metadata() or {})['instructions']))
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
        return Observation(
            tensors.pop('state'), tensors.pop('sent'), tensors.pop('scene'),
            {name.removeprefix(_IMAGE): tensor for name, tensor in sorted(tensors.items())
             if name.startswith(_IMAGE)},
            tensors.pop('instruction'), instructions)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise CanaryError(
            f'{file} holds no observations ({error!r}); record them again with '
            'lwd_policy.canary.save') from error


def neutral(config: PolicyConfig) -> Observation:
    """Return one observation of a robot at home that sees nothing."""
    state = np.zeros(len(STATE_JOINTS))
    state[:len(HOME)] = HOME
    if config.observation == 'scene':
        width = LAYOUTS[config.scene_layout].size
        return single(state, HOME, '', scene=np.zeros(width, dtype=np.float32))
    size = (config.image_size, config.image_size, 3)
    return single(state, HOME, '', images={
        name: np.full(size, 127, dtype=np.uint8) for name in config.cameras})


def commands(
    policy: FlowPolicy, runtime: RuntimeConfig, observation: Observation,
) -> NDArray[np.float64]:
    """Return a chunk of commands an observation, (B, H, 16), not clipped; always the same noise.

    Raises:
        CanaryError: The policy cannot be run on the observations.
    """
    try:
        sampler = ChunkSampler(policy, replace(runtime, best_of=1), seed=0)
        with torch.no_grad():
            found = policy.actions.decode(sampler.actions(observation), observation.sent)
    except (PolicyError, RuntimeError, LookupError, ValueError) as error:
        raise CanaryError(
            f'the policy cannot be run on stored observations: {error}; they or its '
            'configuration are of another layout') from error
    return found.double().numpy()


def check(
    found: NDArray[np.float64], sent: NDArray[np.float64], config: CanaryConfig, *,
    running: NDArray[np.float64] | None = None,
) -> None:
    """Refuse commands that no robot should follow.

    Args:
        found: (B, H, 16) of the policy that is to run: rad; grippers 0 .. 1.
        sent: (B, 16) the commands before.
        config: What is sane.
        running: (B, H, 16) of the policy that runs; None if there is none.

    Raises:
        CanaryError: It says what, which value, where.
    """
    bad = int((~np.isfinite(found)).sum())
    if bad:
        raise CanaryError(f'{bad} of {found.size} commands on stored observations are not finite')
    beyond = np.maximum(_LOWER - found, found - _UPPER)
    _compare(beyond, config.margin * _SLACK, 'lies {value:.2f} beyond its limits', 'margin')
    steps = np.diff(np.concatenate([sent[:, None], found], axis=1), axis=1)
    _compare(np.abs(steps) * _CONTROL_RATE / _SPEED, config.speed * np.ones(len(_SPEED)),
             'would move at {value:.1f} times its greatest speed', 'speed')
    if running is not None and config.distance and running.shape == found.shape:
        distance = float(np.sqrt(np.mean((found - running) ** 2)))
        if distance > config.distance:
            raise CanaryError(
                f'commands on stored observations are {distance:.2f} rad (root mean square) from '
                f'those of the running policy; up to {config.distance:g} is allowed '
                '(canary.distance)')


def _compare(
    values: NDArray[np.float64], allowed: NDArray[np.float64], text: str, name: str,
) -> None:
    worst = np.unravel_index(int((values - allowed).argmax()), values.shape)
    limit = float(allowed[worst[-1]])
    if values[worst] > limit:
        said = text.format(value=values[worst])
        raise CanaryError(
            f'on stored observation {worst[0]}, step {worst[1]}, '
            f'{COMMAND_JOINTS[int(worst[2])].name} {said}; up to {limit:g} is allowed '
            f'(canary.{name})')
