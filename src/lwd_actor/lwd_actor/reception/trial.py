# SPDX-License-Identifier: Apache-2.0
"""What a policy must pass before it may run: whole, of this robot, sane on stored observations."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lwd_policy import canary
from lwd_policy.canary import CanaryConfig
from lwd_policy.card import PolicyCard
from lwd_policy.errors import CanaryError, LayoutError, PolicyError
from lwd_policy.manifest import layout_of
from lwd_policy.observation import Observation
from lwd_policy.payload import CANARY_FILE, Unpacked
from lwd_policy.policy import FlowPolicy
from lwd_policy.runtime import RuntimeConfig
from lwd_policy.store import load_policy


@dataclass(frozen=True)
class TrialConfig:
    """What is asked of a new policy."""

    layout: str = ''
    """Name of what it must see and do, such as scene-1/16x30; empty for that of the policy that
    runs."""
    canary: CanaryConfig = field(default_factory=CanaryConfig)
    """Which actions on stored observations are sane."""


class Trial:
    """Tries policies, one after the other. Not shared between threads."""

    def __init__(self, config: TrialConfig | None = None) -> None:
        """Try policies as configured."""
        self.config = config or TrialConfig()
        self._running: tuple[Path, FlowPolicy, RuntimeConfig, PolicyCard] | None = None
        # What the policy that passed last did, on observations of a file with this content.
        self._done: tuple[str, bytes, NDArray[np.float64]] | None = None

    def __call__(self, unpacked: Unpacked, running: Path | None) -> None:
        """Refuse a policy that should not run.

        Args:
            unpacked: The policy: weights, card, perhaps a canary.
            running: Folder of the one that runs; None if none does.

        Raises:
            PolicyError: It is damaged, of another layout, or does not act sanely.
        """
        folder = unpacked.folder
        policy, runtime, card = load_policy(folder, known=unpacked.version)
        if runtime.best_of > 1:
            raise LayoutError(
                f'policy {card.version[:12]} draws the best of {runtime.best_of} chunks; that '
                'takes its critic, which is not sent: publish it with best_of 1')
        before = self._load_running(running)
        wanted = self.config.layout or (layout_of(before[3]) if before else '')
        if wanted and layout_of(card) != wanted:
            raise LayoutError(
                f'policy {card.version[:12]} is of layout {layout_of(card)}, this robot runs '
                f'{wanted}; set trial.layout to change over')
        observation, content = self._observation(folder, running, policy)
        found = canary.commands(policy, runtime, observation)
        reference = None if before is None else self._reference(before, observation, content)
        canary.check(found, observation.sent.double().numpy(), self.config.canary,
                     running=reference)
        self._running = (folder, policy, runtime, card)
        self._done = (card.version, content, found)

    def moved(self, folder: Path) -> None:
        """Say where the policy that passed last lies now: it need not be read again."""
        if self._running is not None:
            self._running = (folder, *self._running[1:])

    def _load_running(
        self, folder: Path | None,
    ) -> tuple[Path, FlowPolicy, RuntimeConfig, PolicyCard] | None:
        if folder is None:
            return None
        if self._running is None or self._running[0] != folder:
            try:
                self._running = (folder, *load_policy(folder))
            except PolicyError:
                # What runs cannot be read any more: nothing to compare with, and a new one may be
                # the remedy.
                return None
        return self._running

    def _observation(
        self, folder: Path, running: Path | None, policy: FlowPolicy,
    ) -> tuple[Observation, bytes]:
        """Return (what to try a policy on, the file that it comes from; empty if from none)."""
        for place in (folder, running):
            file = place / CANARY_FILE if place is not None else None
            if file is not None and file.exists():
                return canary.load(file), file.read_bytes()
        return canary.neutral(policy.config), b''

    def _reference(
        self, before: tuple[Path, FlowPolicy, RuntimeConfig, PolicyCard],
        observation: Observation, content: bytes,
    ) -> NDArray[np.float64] | None:
        """Return what the running policy does on observations; None if it sees something else."""
        if content and self._done is not None and self._done[:2] == (before[3].version, content):
            return self._done[2]
        try:
            return canary.commands(before[1], before[2], observation)
        except CanaryError:
            return None
