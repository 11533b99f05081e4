# SPDX-License-Identifier: Apache-2.0
"""How well a critic ranks chunks *within one state*: several chunks, and their real outcomes.

Pooled over states, Q's ranking of outcomes mostly measures how far an episode has come. Here an
episode is run up to a state, and from there once for each of several chunks of the policy, going
on with the policy; episodes are deterministic, so that the prefix is the same each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from g1_driver.loop import Observation
from g1_sim import tasks
from g1_sim.seeds import seeds
from g1_sim.tasks.base import Terminal
from g1_sim.world import World
from lwd_msgs.msg import ControlStep
from lwd_policy.critic import Critic
from lwd_policy.errors import PolicyError
from lwd_policy.observation import Observation as Seen
from lwd_policy.policy import FlowPolicy
from lwd_policy.runtime import ChunkSampler, RuntimeConfig
from lwd_policy.store import load_critic, load_policy
from lwd_rollout.errors import EvaluationError
from lwd_rollout.policy_controller import observe
from lwd_rollout.runner import Setting, run_episode
from lwd_rollout.workers import workers

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BranchPlan:
    """States, chunks and continuations."""

    policy: Path
    """Folder of the policy whose chunks are judged, and which goes on after them."""
    critic: Path
    """Folder of the critic."""
    tasks: tuple[str, ...]
    distribution: str = 'deploy'
    states: int = 20
    """Of each task, one an episode."""
    chunks: int = 6
    """In each state."""
    continuations: int = 1
    """Of each chunk: the policy is random."""
    split: str = 'tune'
    first_seed: int = 0
    latest: float = 0.7
    """States lie anywhere in the first part of an episode's usual length."""
    value_range: tuple[float, float] = (-0.1, 1.1)
    """Values of the first and the last atom of the critic's V, if it is a distribution."""


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


def branch(
    plan: BranchPlan, *, processes: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[Branch]:
    """Run a plan.

    Raises:
        EvaluationError: Policy or critic cannot be loaded.
    """
    try:
        load_policy(plan.policy)
        load_critic(plan.critic)
    except PolicyError as error:
        raise EvaluationError(str(error)) from error
    jobs = [(plan, task, seed) for task in plan.tasks
            for seed in seeds(plan.split, plan.first_seed, plan.states)]
    found: list[Branch] = []
    with workers(processes) as pool:
        futures = [pool.submit(branches_of, *job) for job in jobs]
        for done, future in enumerate(as_completed(futures), start=1):
            found += future.result()
            progress(done, len(jobs))
    return sorted(found, key=lambda one: (one.task, one.seed, one.chunk))


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


class _BranchController:
    """Plays a fixed prefix, then one of several chunks, then goes on."""

    source = int(ControlStep.SOURCE_POLICY)
    version, chunk_id, chunk_index = '', 0, 0

    def __init__(
        self, world: World, policy: FlowPolicy, runtime: RuntimeConfig, critic: Critic, *,
        seed: int, at: int, candidate: int, continuation: int,
        value_range: tuple[float, float],
    ) -> None:
        self._world, self._policy, self._critic = world, policy, critic
        self._runtime = runtime
        self._seed, self._at = seed, at
        self._candidate, self._continuation = candidate, continuation
        self._number = -1
        self._chunk: Array = np.zeros((0, 16))
        self._step = 0
        self._value_range = value_range
        self.q = self.v = float('nan')

    def interrupted(self) -> None:
        """Never: nobody takes over here."""

    def act(self, observation: Observation) -> Array:
        """Return the command, (16,), of this tick."""
        self._step += 1
        if self._step >= len(self._chunk):
            self._number += 1
            self._chunk = self._draw(observe(self._world, self._policy, observation))
            self._step = 0
        return self._chunk[self._step]

    def _draw(self, seen: Seen) -> Array:
        # Chunks depend on their number only, so that the prefix is the same for every candidate.
        seed = [self._seed, self._number]
        if self._number == self._at:
            seed = [self._seed, self._number, self._candidate]
        elif self._number > self._at:
            seed = [self._seed, self._number, self._candidate, self._continuation + 1]
        number = int(np.random.default_rng(seed).integers(2**62))
        sampler = ChunkSampler(self._policy, self._runtime, seed=number)
        actions = sampler.actions(seen)
        if self._number == self._at:
            self.q = float(self._critic.rank(seen, actions[:, None])[0, 0])
            self.v = mean_value(self._critic, seen, self._value_range)
        commands = self._policy.actions.decode(actions, seen.sent)
        return commands[0].double().numpy()


def mean_value(critic: Critic, seen: Seen, value_range: tuple[float, float]) -> float:
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


def branches_of(plan: BranchPlan, task: str, seed: int) -> list[Branch]:
    """Return the branches of one state; none if the episode is over before it is reached."""
    torch.set_num_threads(1)
    policy, runtime, _ = load_policy(plan.policy)
    critic = load_critic(plan.critic)
    seen = policy.config
    setting = Setting(
        task, plan.distribution, image_size=seen.image_size,
        cameras=seen.cameras if seen.observation == 'cameras' else ())
    usual = tasks.get(task).time_limit * plan.latest
    rng = np.random.default_rng([seed, 5])
    at = int(rng.integers(0, max(1, round(usual * 30 / seen.horizon / 2))))
    found = []
    for candidate in range(plan.chunks):
        outcomes, successes, q, v = [], [], float('nan'), float('nan')
        for continuation in range(plan.continuations):
            made: list[_BranchController] = []

            def make(world: World, candidate: int = candidate,
                     continuation: int = continuation,
                     made: list[_BranchController] = made) -> _BranchController:
                made.append(_BranchController(
                    world, policy, runtime, critic, seed=seed, at=at, candidate=candidate,
                    continuation=continuation, value_range=plan.value_range))
                return made[0]

            outcome = run_episode(setting, seed, make)
            q, v = made[0].q, made[0].v
            success = outcome.verdict.terminal is Terminal.SUCCESS
            successes.append(float(success))
            outcomes.append(1.0 if success else outcome.verdict.score)
        if np.isnan(q):
            # The episode was over before the state was reached: it has nothing to tell.
            return []
        found.append(Branch(
            task, seed, candidate, q, float(np.mean(outcomes)), v, float(np.mean(successes)),
            plan.continuations,
            float(np.var(outcomes, ddof=1)) if plan.continuations > 1 else None))
    return found
