# SPDX-License-Identifier: Apache-2.0
"""How well a critic ranks chunks *within one state*, by their real outcomes.

Pooled over states, Q's ranking of outcomes mostly measures how far an episode has come.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lwd_policy.critic import Critic
from lwd_policy.observation import Observation
from lwd_rollout.branching import State


@dataclass(frozen=True)
class Branch:
    """One chunk in one state, and what came of it."""

    task: str
    seed: int
    chunk: int
    """Number of the candidate."""
    q: float
    outcome: float
    """The task's score at the end, mean over the continuations."""
    v: float = float('nan')
    """Mean of V in the state."""
    success: float = float('nan')
    """Part of the continuations that succeeded: what V is an estimate of."""
    continuations: int = 1
    noise: float | None = None
    """Variance of the outcomes of single continuations; not known with one of them."""


@dataclass(frozen=True)
class Ranking:
    """What the branches of one or more tasks say of a critic."""

    states: int
    mixed: int
    """States whose chunks had different outcomes: only these can tell anything."""
    auc: float
    """Chance that of two chunks of a state the better one has the higher Q; .5 is guessing."""
    slope: float
    """Of the outcome over Q, both relative to their state's mean; 1 is calibrated."""
    correlation: float
    """Within states, pooled."""
    spread: float
    """Median standard deviation of Q within a state."""
    decided: float = float('nan')
    """Part of the outcome's variance within a state that the chunk decides, the rest being what
    the policy does afterwards: an estimate, which may fall below 0. No Q can correlate better with
    outcomes of single continuations than its root. Not a number with one continuation a chunk."""


def judged(
    states: Iterable[State], critic: Critic, value_range: tuple[float, float] = (-0.1, 1.1),
) -> list[Branch]:
    """Return what a critic says of the chunks of states, beside what came of them.

    Args:
        states: With their branches.
        critic: Who is asked.
        value_range: Values of the first and the last atom of its V, if that is a distribution.
    """
    found = []
    for state in states:
        q = critic.rank(state.seen, state.actions[None])[0]
        v = mean_value(critic, state.seen, value_range)
        continuations = state.outcomes.shape[1]
        for number in range(len(q)):
            outcomes = state.outcomes[number].double()
            found.append(Branch(
                state.task, state.seed, number, float(q[number]), float(outcomes.mean()), v,
                float(state.successes[number].double().mean()), continuations,
                float(outcomes.var()) if continuations > 1 else None))
    return found


def mean_value(critic: Critic, seen: Observation, value_range: tuple[float, float]) -> float:
    """Return the mean of V of one observation: of its atoms, or the value that it is.

    Args:
        critic: Whose V.
        seen: One observation.
        value_range: Values of the first and the last atom.
    """
    with torch.no_grad():
        out = critic.values(seen).float()[0]
    if len(out) == 1:
        return float(out[0])
    return float(torch.softmax(out, dim=0) @ torch.linspace(*value_range, len(out)))


def ranking(branches: Sequence[Branch]) -> Ranking:
    """Return how a critic ranked chunks within states."""
    states: dict[tuple[str, int], list[Branch]] = {}
    for one in branches:
        states.setdefault((one.task, one.seed), []).append(one)
    better = pairs = 0.0
    mixed, qs, outcomes, spreads = 0, [], [], []
    for group in states.values():
        q = np.array([one.q for one in group])
        outcome = np.array([one.outcome for one in group])
        spreads.append(float(q.std()))
        if np.ptp(outcome) < 1e-9:
            continue
        mixed += 1
        qs.append(q - q.mean())
        outcomes.append(outcome - outcome.mean())
        higher = outcome[:, None] > outcome[None]
        pairs += float(higher.sum())
        better += float((q[:, None] > q[None])[higher].sum())
        better += 0.5 * float((q[:, None] == q[None])[higher].sum())
    q_all = np.concatenate(qs) if qs else np.zeros(1)
    y_all = np.concatenate(outcomes) if outcomes else np.zeros(1)
    square = float(q_all @ q_all)
    norm = float(np.sqrt(square * float(y_all @ y_all)))
    return Ranking(
        len(states), mixed, better / pairs if pairs else float('nan'),
        float(q_all @ y_all) / square if square else float('nan'),
        float(q_all @ y_all) / norm if norm else float('nan'),
        float(np.median(spreads)) if spreads else float('nan'), _decided(states.values()))


def _decided(states: Iterable[Sequence[Branch]]) -> float:
    """Return the chunks' part of the variance within states, by analysis of variance."""
    groups = [group for group in states if len(group) > 1]
    noises = [one.noise for group in groups for one in group if one.noise is not None]
    if not noises:
        return float('nan')
    noise = float(np.mean(noises))
    means = [np.var([one.outcome for one in group], ddof=1) for group in groups]
    # What continuations differ by is in the chunks' means, too.
    chunks = float(np.mean(means)) - noise * float(np.mean(
        [1.0 / one.continuations for group in groups for one in group]))
    total = chunks + noise
    return chunks / total if total > 0.0 else float('nan')
