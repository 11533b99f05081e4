# SPDX-License-Identifier: Apache-2.0
"""Meta-World in a process of its own; see worker.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.foreign import Foreign

Array = NDArray[np.float64]
_WORKER = Path(__file__).with_name('worker.py')


@dataclass(frozen=True)
class Steps:
    """What came of n steps."""

    observations: Array
    """(n, 39) after each."""
    targets: Array
    """(n, 3) where the hand was told to be, m: what was asked for, as far as it could be done."""
    efforts: Array
    """(n,) of the gripper, -1 (opens) .. 1 (closes)."""
    success: bool
    """Whether the last one ended the episode."""


class Simulator:
    """One simulated robot."""

    def __init__(self, python: str) -> None:
        """Start it with the Python of an environment with Meta-World."""
        self._worker = Foreign(
            [python, str(_WORKER)], 'is METAWORLD_PYTHON a Python with Meta-World?')

    def reset(self, task: str, seed: int) -> Array:
        """Begin an episode; returns the observation, (39,)."""
        return np.array(self._worker.ask(do='reset', task=task, seed=seed)['observation'])

    def play(self, targets: Array) -> Steps:
        """Bring the hand to targets, (n, 4): m and effort, a step each, until it succeeds."""
        return _steps(self._worker.ask(do='play', targets=targets.tolist()))

    def demonstrate(
        self, task: str, seed: int, steps: int, flaws: Mapping[str, Any],
    ) -> tuple[Array, Steps]:
        """Run an episode of Meta-World's script.

        Args:
            task: Its name.
            seed: Of the scene.
            steps: How long it may take.
            flaws: By how far it mistakes `object` and `goal`, (3,) m; the share of its `speed`;
                when it lets go, `opens_at`, and for how many steps, `opens_for`.

        Returns:
            First observation, (39,), and all steps.
        """
        found = self._worker.ask(
            do='demonstrate', task=task, seed=seed, steps=steps, flaws=dict(flaws))
        return np.array(found['observation']), _steps(found)

    def close(self) -> None:
        """End it."""
        self._worker.close()


def _steps(found: Mapping[str, Any]) -> Steps:
    return Steps(np.array(found['observations']), np.array(found['targets']),
                 np.array(found['efforts']), bool(found['success']))
