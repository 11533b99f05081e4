# SPDX-License-Identifier: Apache-2.0
"""Drives simulated episodes with a learned policy: one chunk after the other."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from g1_driver.loop import Observation
from g1_sim.features import SceneFeatures
from g1_sim.world import World
from lwd_actor.action_queue import ActionQueue, Chunk
from lwd_msgs.msg import ControlStep
from lwd_policy import observation as policy_observation
from lwd_policy.critic import Critic
from lwd_policy.errors import PolicyError
from lwd_policy.observation import Observation as Seen
from lwd_policy.policy import FlowPolicy
from lwd_policy.runtime import ChunkSampler, Ranker, RuntimeConfig
from lwd_policy.store import CRITIC, load_critic, load_policy
from lwd_rollout.errors import RolloutError

Array = NDArray[np.float64]


def observe(world: World, policy: FlowPolicy, observation: Observation) -> Seen:
    """Return what a policy sees of a simulated robot at a tick."""
    sees_scene = policy.config.observation == 'scene'
    return policy_observation.single(
        observation.joints.positions, observation.sent, world.scene.instruction,
        scene=SceneFeatures(world).values() if sees_scene else None,
        images={frame.camera: frame.rgb for frame in observation.frames})


class PolicyController:
    """Answers every tick from the present chunk; draws the next one when it is used up."""

    source = int(ControlStep.SOURCE_POLICY)

    def __init__(
        self, world: World, policy: FlowPolicy, runtime: RuntimeConfig, *, seed: int,
        version: str = '', ranker: Ranker | None = None, execute: int = 0,
    ) -> None:
        """Drive the robot of a world.

        Args:
            world: Read for its scene features, if the policy sees those.
            policy: In evaluation mode from here on.
            runtime: How chunks are drawn.
            seed: Of the flow's noise.
            version: Of the policy, for the record.
            ranker: A critic for best-of-n.
            execute: Actions of a chunk that are played before the next one is drawn; 0 for all.
        """
        self.version = version
        self.chunk_id = 0
        self.chunk_index = 0
        self._sampler = ChunkSampler(policy, runtime, ranker=ranker, seed=seed)
        self._world, self._policy = world, policy
        self._execute = execute or policy.config.horizon
        self._queue = ActionQueue()
        self.last_seen: Seen | None = None
        """What the present chunk was drawn from."""
        self.last_chunk: Array = np.zeros((0, 16))
        """The present chunk, (H, 16)."""

    def act(self, observation: Observation) -> Array:
        """Return the command, (16,), of this tick."""
        if not self._queue.left or self._queue.taken >= self._execute:
            self.last_seen = observe(self._world, self._policy, observation)
            self.last_chunk = self._sampler.commands(self.last_seen)[0]
            self.chunk_id += 1
            self._queue.replace(Chunk(self.last_chunk, self.chunk_id, self.version))
        action = self._queue.pop()
        assert action is not None  # noqa: S101  the queue was just filled
        self.chunk_index = action.index
        return action.command

    def interrupted(self) -> None:
        """Forget the present chunk: somebody else was in control."""
        self._queue.clear()


@functools.lru_cache(maxsize=4)
def _loaded(folder: str) -> tuple[FlowPolicy, RuntimeConfig, str]:
    # Worker processes share the cores: one thread each.
    torch.set_num_threads(1)
    policy, runtime, card = load_policy(Path(folder))
    return policy, runtime, card.version


@functools.lru_cache(maxsize=4)
def _critic(folder: str) -> Critic:
    return load_critic(Path(folder))


def _check_alike(
    policy: FlowPolicy, critic: Critic, folder: Path, critic_folder: Path,
) -> None:
    own, other = policy.actions.state_dict(), critic.actions.state_dict()
    if own.keys() != other.keys() or not all(torch.equal(own[name], other[name]) for name in own):
        raise RolloutError(
            f'the critic of {critic_folder} normalises actions '
            f'otherwise than the policy of {folder}: it cannot choose among its chunks; take a '
            'critic that was trained on the same data')


def from_folder(
    folder: Path, seed: int, *, noise: float = 1.0, best_of: int = 1,
    critic: Path | None = None,
) -> PolicyMaker:
    """Return what makes the controller of a policy on disk.

    Args:
        folder: Of the policy.
        seed: Of the flow's noise.
        noise: Standard deviation of the flow's initial noise.
        best_of: Chunks among which a critic chooses.
        critic: Its folder; the one beside the policy by default.

    Raises:
        RolloutError: The policy or, for best_of, the critic cannot be loaded, or they mean
            different things by the same numbers of an action.
    """
    try:
        policy, runtime, version = _loaded(str(folder))
        ranker = None
        if best_of > 1:
            ranker = _critic(str(critic or folder.parent / CRITIC))
            if critic is not None:
                _check_alike(policy, ranker, folder, critic)
        options = RuntimeConfig(**{**vars(runtime), 'noise': noise, 'best_of': best_of})
    except PolicyError as error:
        raise RolloutError(str(error)) from error
    return PolicyMaker(policy, options, seed, version, ranker)


class PolicyMaker:
    """Makes the controller of an episode."""

    def __init__(
        self, policy: FlowPolicy, runtime: RuntimeConfig, seed: int, version: str = '',
        ranker: Ranker | None = None,
    ) -> None:
        """Remember what to make."""
        self._make = functools.partial(
            PolicyController, policy=policy, runtime=runtime, seed=seed, version=version,
            ranker=ranker)

    def __call__(self, world: World) -> PolicyController:
        """Return the controller."""
        return self._make(world)
