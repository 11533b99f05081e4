# SPDX-License-Identifier: Apache-2.0
"""What a trained cell says of itself: realised KL, tau, lambda; what RECAP's condition does."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import g1_sim
import lwd_data
import lwd_learner
import lwd_policy
import lwd_rollout
from lwd_data.replay.batch import Batch
from lwd_learner.algorithms.recap import BAD, GOOD
from lwd_policy.observation import from_replay
from lwd_policy.policy import FlowPolicy
from lwd_policy.runtime import ChunkSampler, RuntimeConfig

_WANTED = ('actor/kl', 'actor/lambda', 'actor/q', 'value/tau', 'value/tau_min', 'value/tau_max',
           'value/entropy', 'value/mean')
_LINES = 5
"""Last lines of metrics that a figure is the mean of."""


def diagnostics(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return figures of a run's metrics: what they were at the end; of tau, over the whole run.

    Args:
        rows: Lines of metrics.jsonl.
    """
    found = {}
    for name in _WANTED:
        values = [float(row[name]) for row in rows if name in row]
        if not values:
            continue
        if name == 'value/tau_min':
            found[name] = min(values)
        elif name == 'value/tau_max':
            found[name] = max(values)
        else:
            found[name] = float(np.mean(values[-_LINES:]))
    return found | _unseen(rows)


def _unseen(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return how wrong Q was on held-out episodes at the end of each phase, and their variance."""
    found: dict[str, float] = {}
    for name in ('error/held_out', 'error/variance_held_out'):
        phases: dict[str, list[float]] = {}
        for row in rows:
            if name in row:
                phases.setdefault(str(row['phase']), []).append(float(row[name]))
        found |= {f'{name} {phase}': float(np.mean(values[-_LINES:]))
                  for phase, values in phases.items()}
    return found


def condition_effect(policy: FlowPolicy, batch: Batch, seed: int) -> dict[str, float]:
    """Return how far RECAP's condition moves commands, rad: if not at all, it cannot help.

    `shift` is the mean absolute difference between what "good" and "bad" give from the same
    noise; `spread` that between two draws of noise under "good".

    Args:
        policy: Trained with conditions.
        batch: Windows whose observations are asked about.
        seed: Of the noise.
    """
    observation = from_replay(batch.observation, batch.instructions)

    def drawn(condition: int, noise: int) -> np.ndarray:
        sampler = ChunkSampler(policy, RuntimeConfig(condition=condition), seed=noise)
        return sampler.commands(observation)

    good = drawn(GOOD, seed)
    return {'shift': float(np.abs(good - drawn(BAD, seed)).mean()),
            'spread': float(np.abs(good - drawn(GOOD, seed + 1)).mean())}


@functools.cache
def code_digest() -> str:
    """Return a hash of the code that results depend on; they are shown if they are of several."""
    found = hashlib.sha256()
    for package in (g1_sim, lwd_data, lwd_learner, lwd_policy, lwd_rollout):
        assert package.__file__ is not None  # noqa: S101  all have an __init__.py
        folder = Path(package.__file__).parent
        for file in sorted(folder.rglob('*.py')):
            found.update(f'{package.__name__}/{file.relative_to(folder)}'.encode())
            found.update(file.read_bytes())
    return found.hexdigest()[:12]
