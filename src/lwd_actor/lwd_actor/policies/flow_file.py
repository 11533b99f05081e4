# SPDX-License-Identifier: Apache-2.0
"""A policy from a folder with a card."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from g1_description.joints import HOME
from lwd_actor.policies.base import Needs, check
from lwd_data.scene_layout import LAYOUTS
from lwd_policy.continuation import Committed
from lwd_policy.errors import LayoutError
from lwd_policy.observation import Observation, single
from lwd_policy.policy import FlowPolicy
from lwd_policy.runtime import ChunkSampler, Ranker, RuntimeConfig
from lwd_policy.store import CRITIC, load_critic, load_policy

Array = NDArray[np.float64]

_WARM_UP = 2


class FlowFile:
    """A flow policy in this process."""

    continues = True

    def __init__(
        self, policy: FlowPolicy, runtime: RuntimeConfig, version: str, *,
        ranker: Ranker | None = None, name: str = 'the policy',
    ) -> None:
        """Warm a loaded policy up.

        Args:
            policy: Its networks.
            runtime: How chunks are drawn.
            version: SHA-256 of its weights.
            ranker: A critic, if `runtime` asks for the best of several chunks.
            name: For messages.

        Raises:
            InferenceError: It answers a plain observation with what cannot be followed.
        """
        config = policy.config
        self.version, self.horizon = version, config.horizon
        self.needs = Needs(scene=config.scene_layout) if config.observation == 'scene' else Needs(
            cameras=config.cameras, image_size=config.image_size)
        self._policy, self._runtime, self._ranker, self._name = policy, runtime, ranker, name
        self.reset(0)
        self.seconds = self._warm_up()
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Draw noise anew from a seed."""
        self._sampler = ChunkSampler(
            self._policy, self._runtime, ranker=self._ranker, seed=seed)

    def infer(self, observation: Observation, committed: Committed | None) -> Array:
        """Return commands, (H, 16), of one observation."""
        return check(
            self._sampler.commands(observation, committed)[0], self._name, self.horizon)

    def close(self) -> None:
        """Do nothing: memory goes with the object."""

    def _warm_up(self) -> float:
        """Return what an inference takes, s: the first ones take many times as long."""
        config, size = self._policy.config, self.needs.image_size
        seen = single(
            np.concatenate([HOME, np.zeros(4)]), HOME, 'stand still',
            scene=np.zeros(LAYOUTS[config.scene_layout].size, np.float32)
            if self.needs.scene else None,
            images={name: np.zeros((size, size, 3), np.uint8) for name in self.needs.cameras})
        took = []
        for _ in range(_WARM_UP):
            began = time.perf_counter()
            self.infer(seen, Committed(np.repeat(HOME[None], 2, axis=0), 1))
            took.append(time.perf_counter() - began)
        return min(took)


def load(folder: Path) -> FlowFile:
    """Return the policy of a folder; for best-of-n its critic lies beside it.

    Raises:
        PolicyError: It is missing, damaged, or does not fit this robot.
        InferenceError: It answers with what cannot be followed.
    """
    policy, runtime, card = load_policy(folder)
    if card.layout.horizon != policy.config.horizon:
        raise LayoutError(
            f'{folder}: the card speaks of chunks of {card.layout.horizon} actions, the networks '
            f'make {policy.config.horizon}')
    ranker = load_critic(folder.parent / CRITIC) if runtime.best_of > 1 else None
    return FlowFile(policy, runtime, card.version, ranker=ranker,
                    name=f'policy {card.version[:12]}')
