# SPDX-License-Identifier: Apache-2.0
"""Several chunks in one state, and what came of each.

An episode is run up to a state, and from there once for each of several chunks of the policy,
going on with the policy; episodes are deterministic, so that the prefix is the same each time. No
critic is asked here: all of them can be about the same states (`ranking.judged`).
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from g1_driver.loop import Observation
from g1_sim import tasks
from g1_sim.seeds import seeds
from g1_sim.tasks.base import Terminal
from g1_sim.world import World
from lwd_msgs.msg import ControlStep
from lwd_policy.errors import PolicyError
from lwd_policy.observation import Observation as Seen
from lwd_policy.policy import FlowPolicy
from lwd_policy.runtime import ChunkSampler, RuntimeConfig
from lwd_policy.store import load_policy
from lwd_rollout.errors import EvaluationError
from lwd_rollout.policy_controller import observe
from lwd_rollout.runner import Setting, run_episode
from lwd_rollout.workers import workers

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BranchPlan:
    """States, chunks and continuations."""

    policy: Path
    """Folder of the policy whose chunks are tried, and which goes on after them."""
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

    @property
    def scenes(self) -> list[tuple[str, int]]:
        """Task and seed of each state."""
        return [(task, seed) for task in self.tasks
                for seed in seeds(self.split, self.first_seed, self.states)]

    @property
    def conditions(self) -> dict[str, Any]:
        """What a state depends on beside its task and seed: one kept under others is no use."""
        return {'policy': load_policy(self.policy)[2].version, 'distribution': self.distribution,
                'chunks': self.chunks, 'continuations': self.continuations,
                'latest': self.latest}


@dataclass(frozen=True)
class State:
    """A state, n chunks in it, and what came of c continuations of each."""

    task: str
    seed: int
    seen: Seen
    """What the policy saw: one observation."""
    actions: Tensor
    """(n, K, 16) the chunks, as the networks see them."""
    outcomes: Tensor
    """(n, c) the task's score at the end; 1 for a success."""
    successes: Tensor
    """(n, c) 1 or 0."""


def file_of(folder: Path, task: str, seed: int) -> Path:
    """Return where a state is kept."""
    return folder / f'{task}_{seed:09d}.pt'


def keep(plan: BranchPlan, task: str, seed: int, folder: Path) -> None:
    """Run the branches of one state and keep them; whole or not at all."""
    state = branched(plan, task, seed)
    content: dict[str, Any] = {'conditions': plan.conditions, 'state': None}
    if state is not None:
        content['state'] = {one.name: getattr(state, one.name) for one in fields(state)}
        content['state']['seen'] = asdict(state.seen)
    file = file_of(folder, task, seed)
    folder.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix('.part')
    torch.save(content, part)
    part.replace(file)


def kept(plan: BranchPlan, folder: Path) -> list[State]:
    """Return the states of a plan; without those that their episode was over before.

    Raises:
        EvaluationError: One is not there, damaged, or was made under other conditions.
    """
    found = []
    wanted = plan.conditions
    for task, seed in plan.scenes:
        file = file_of(folder, task, seed)
        try:
            content = torch.load(file, weights_only=True)
            made, state = content['conditions'], content['state']
            if state is not None:
                found.append(State(**{**state, 'seen': Seen(**state['seen'])}))
        except (RuntimeError, EOFError, OSError, LookupError, ValueError, TypeError,
                AttributeError, pickle.UnpicklingError) as error:
            # What is no state makes the reader fail in whichever way its bytes lead to; what it
            # says then is about pickle.
            raise EvaluationError(
                f'{file} is missing or damaged; remove it, and it is made again') from error
        other = [name for name in wanted if made.get(name) != wanted[name]]
        if other:
            raise EvaluationError(
                f'{file} was made with another {", ".join(other)}; remove it, and it is made '
                'again, or choose another folder')
    return found


def branch(
    plan: BranchPlan, folder: Path, *, processes: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[State]:
    """Run what is not there yet of a plan; returns all of it.

    Raises:
        EvaluationError: The policy cannot be loaded, or a state that is there is damaged.
    """
    try:
        load_policy(plan.policy)
    except PolicyError as error:
        raise EvaluationError(str(error)) from error
    jobs = [job for job in plan.scenes if not file_of(folder, *job).is_file()]
    with workers(processes) as pool:
        futures = [pool.submit(keep, plan, *job, folder) for job in jobs]
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()
            progress(done, len(jobs))
    return kept(plan, folder)


class _BranchController:
    """Plays a fixed prefix, then one of several chunks, then goes on."""

    source = int(ControlStep.SOURCE_POLICY)
    version, chunk_id, chunk_index = '', 0, 0

    def __init__(
        self, world: World, policy: FlowPolicy, runtime: RuntimeConfig, *,
        seed: int, at: int, candidate: int, continuation: int,
    ) -> None:
        self._world, self._policy, self._runtime = world, policy, runtime
        self._seed, self._at = seed, at
        self._candidate, self._continuation = candidate, continuation
        self._number = -1
        self._chunk: Array = np.zeros((0, 16))
        self._step = 0
        self.reached: tuple[Seen, Tensor] | None = None
        """What was seen in the state and the chunk, (1, K, 16), once it is there."""

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
            self.reached = seen, actions
        commands = self._policy.actions.decode(actions, seen.sent)
        return commands[0].double().numpy()


def branched(plan: BranchPlan, task: str, seed: int) -> State | None:
    """Return one state with its branches; None if the episode is over before it is reached."""
    torch.set_num_threads(1)
    policy, runtime, _ = load_policy(plan.policy)
    sees = policy.config
    setting = Setting(
        task, plan.distribution, image_size=sees.image_size,
        cameras=sees.cameras if sees.observation == 'cameras' else ())
    usual = tasks.get(task).time_limit * plan.latest
    rng = np.random.default_rng([seed, 5])
    at = int(rng.integers(0, max(1, round(usual * 30 / sees.horizon / 2))))
    shape = plan.chunks, plan.continuations
    outcomes, successes = torch.zeros(shape), torch.zeros(shape)
    chunks = []
    for candidate in range(plan.chunks):
        for continuation in range(plan.continuations):
            made: list[_BranchController] = []

            def make(world: World, candidate: int = candidate,
                     continuation: int = continuation,
                     made: list[_BranchController] = made) -> _BranchController:
                made.append(_BranchController(
                    world, policy, runtime, seed=seed, at=at, candidate=candidate,
                    continuation=continuation))
                return made[0]

            verdict = run_episode(setting, seed, make).verdict
            if made[0].reached is None:
                # It has nothing to tell.
                return None
            seen, actions = made[0].reached
            success = verdict.terminal is Terminal.SUCCESS
            successes[candidate, continuation] = float(success)
            outcomes[candidate, continuation] = 1.0 if success else verdict.score
        chunks.append(actions)
    return State(task, seed, seen, torch.cat(chunks), outcomes, successes)
