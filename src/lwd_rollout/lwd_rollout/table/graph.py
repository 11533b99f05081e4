# SPDX-License-Identifier: Apache-2.0
"""The graph of cells: what is to be trained and tested, and what must be done before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lwd_rollout.errors import TableError
from lwd_rollout.table.extension import Extension
from lwd_rollout.table.methods import REFERENCE, Method, judges, needed_first
from lwd_rollout.table.protocol import TableProtocol

Kind = Literal['train', 'score', 'branch', 'judge']


@dataclass(frozen=True)
class Job:
    """One piece of work that a process does by itself."""

    kind: Kind
    method: str
    seed: int
    task: str = ''
    """Of a score."""
    noise: float = 1.0
    best_of: int = 1
    needs: tuple[str, ...] = ()
    """Names of jobs that must be done before."""
    work: Mapping[str, float] = field(default_factory=dict, hash=False)
    """How much of what, for the estimate of the time left."""

    @property
    def name(self) -> str:
        """What it is called in messages and in `needs`."""
        found = f'{self.kind} {self.method}-{self.seed}'
        if self.kind == 'score':
            found += f' {self.task} noise {self.noise:g} best of {self.best_of}'
        return found


def jobs(protocol: TableProtocol, added: Extension | None = None) -> list[Job]:
    """Return all jobs of a comparison; what a job needs comes before it.

    Args:
        protocol: Of the comparison.
        added: Seeds that were not planned.
    """
    added = added or Extension()
    found = []
    for seed in range(added.seeds_of(protocol)):
        methods = added.methods_of(protocol, seed)
        # A critic that only chooses for others is trained too, though its own policy is not
        # tested.
        trained = judges(methods) if max(protocol.testing.best_of) > 1 else methods
        found += [Job('train', method.name, seed, needs=tuple(
            f'train {name}-{seed}' for name in method.needs), work=_training(protocol, method))
            for method in needed_first(trained)]
        for method in methods:
            found += _scores(protocol, method, seed)
        critics = [method for method in methods if method.has_critic]
        if critics:
            states = Job('branch', REFERENCE, seed, needs=(f'train {REFERENCE}-{seed}',),
                         work=_branching(protocol))
            found += [states, *(Job('judge', method.name, seed, needs=(
                states.name, f'train {method.name}-{seed}')) for method in critics)]
    check(found)
    return found


def _scores(protocol: TableProtocol, method: Method, seed: int) -> list[Job]:
    test, found = protocol.testing, []
    for best_of in test.best_of:
        needs = {f'train {method.name}-{seed}'}
        if best_of > 1:
            needs.add(f'train {method.judge}-{seed}')
        found += [Job('score', method.name, seed, task, noise, best_of,
                      tuple(sorted(needs)), {f'episodes {task}': test.episodes})
                  for noise in test.noises for task in protocol.task_names]
    return found


def _training(protocol: TableProtocol, method: Method) -> dict[str, float]:
    budget, online = protocol.budget, protocol.online
    if method.stage == 'offline':
        own = budget.reference if method.alone else budget.offline
        if method.has_critic:
            # Its reference was trained as a cell of its own.
            own -= budget.reference
        return {f'updates {method.algorithm} offline': own}
    found: dict[str, float] = {
        f'updates {method.algorithm} online': budget.round * online.rounds}
    if not method.data_of:
        found |= {f'recorded {task}': online.episodes * online.rounds
                  for task in protocol.task_names}
    return found


def _branching(protocol: TableProtocol) -> dict[str, float]:
    branching = protocol.branching
    count = branching.states * branching.chunks * branching.continuations
    return {f'episodes {task}': count for task in protocol.task_names}


def check(found: Sequence[Job]) -> None:
    """Refuse jobs that could never run.

    Raises:
        TableError: Two have one name, or one needs what does not come before it.
    """
    before: set[str] = set()
    for job in found:
        if job.name in before:
            raise TableError(f'two jobs are called {job.name!r}')
        for need in job.needs:
            if need not in before:
                raise TableError(f'{job.name!r} needs {need!r}, which does not come before it')
        before.add(job.name)


def urgency(found: Sequence[Job], seconds: Mapping[str, float]) -> dict[str, float]:
    """Return how long the longest chain is that each job begins, s.

    Args:
        found: All jobs.
        seconds: How long each takes, by name.
    """
    longest: dict[str, float] = {}
    after: dict[str, list[str]] = {}
    for job in found:
        for need in job.needs:
            after.setdefault(need, []).append(job.name)
    for job in reversed(found):
        longest[job.name] = seconds[job.name] + max(
            (longest[name] for name in after.get(job.name, ())), default=0.0)
    return longest

