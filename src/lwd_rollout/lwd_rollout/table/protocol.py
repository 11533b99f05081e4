# SPDX-License-Identifier: Apache-2.0
"""What a comparison is: tasks, seeds, budgets and settings, fixed before anything is tested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from g1_sim import tasks
from g1_sim.errors import SimError
from g1_sim.scene import DISTRIBUTIONS
from g1_sim.seeds import seeds, split_of
from lwd_learner.errors import LearnerError
from lwd_learner.training import TrainConfig
from lwd_policy.errors import PolicyError
from lwd_rollout.errors import TableError
from lwd_ros.errors import ParameterError
from lwd_ros.parameters import build, flatten


@dataclass(frozen=True)
class Budget:
    """Updates of a method. Every method has the same sum, offline and in each online round."""

    reference: int = 12000
    """Imitation, from which all methods with a critic begin."""
    critic: int = 3300
    """Of the critic alone."""
    actor: int = 500
    """Of actor and critic."""
    round_refresh: int = 120
    """Of the reference in each round, where it is refreshed; else the critic has them."""
    round_critic: int = 350
    """Of the critic alone in each round."""
    round_actor: int = 120
    """Of actor and critic in each round."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise TableError(f'budget.{name} is {value}; it must be at least 1')

    @property
    def offline(self) -> int:
        """Updates of a method before it is deployed."""
        return self.reference + self.critic + self.actor

    @property
    def round(self) -> int:
        """Updates of a method in an online round."""
        return self.round_refresh + self.round_critic + self.round_actor


@dataclass(frozen=True)
class PoolOf:
    """The offline data."""

    hours: float = 28.0
    """Of robot time, all tasks together."""
    first_seed: int = 0
    """Within the split `pool`."""


@dataclass(frozen=True)
class Online:
    """Rounds of deployment: episodes with the present policy, then training on all there is."""

    rounds: int = 5
    episodes: int = 40
    """Of each task in each round; the same scenes for every method."""
    through_joy: bool = True
    """Whether the operator corrects through a pad, teleoperation and the arbiter."""
    operator_share: float = field(default=0.5, metadata={'range': (0.0, 1.0)})
    """Largest share of an episode's time limit that the operator spends in control."""


@dataclass(frozen=True)
class Trials:
    """What the trained policies are tried on."""

    episodes: int = 100
    """Of each task: held-out scenes, the same for every method and seed."""
    distribution: str = 'deploy'
    split: str = 'test'
    """tune for choosing settings, test for results."""
    first_seed: int = 0
    noises: tuple[float, ...] = (1.0, 0.5)
    """Standard deviations of the flow's initial noise: each method is tried with all of them."""
    best_of: tuple[int, ...] = (1, 8)
    """Chunks among which a critic chooses: every method is tried with all of them. One without a
    critic of its own has LWD's of the same seed and stage."""


@dataclass(frozen=True)
class Branching:
    """How critics are judged: several chunks of the reference in one state, and what came."""

    states: int = 40
    """Of each task."""
    chunks: int = 6
    continuations: int = 1


@dataclass(frozen=True)
class TableProtocol:
    """A comparison of methods."""

    name: str = 'table'
    tasks: tuple[str, ...] = ()
    """Names; empty for all."""
    methods: tuple[str, ...] = ()
    """Names, those that they begin from included by themselves; empty for all."""
    seeds: int = field(default=5, metadata={'range': (1, 1000)})
    """Of training: each is a policy of its own."""
    long_tasks: tuple[str, ...] = ('tea', 'juice', 'cocktail', 'shoebox')
    """Of which a mean of their own is shown."""
    pool: PoolOf = field(default_factory=PoolOf)
    budget: Budget = field(default_factory=Budget)
    online: Online = field(default_factory=Online)
    testing: Trials = field(default_factory=Trials)
    branching: Branching = field(default_factory=Branching)
    train: TrainConfig = field(default_factory=TrainConfig)
    """Settings of all methods; algorithm, seed and updates are the method's, the cell's and the
    budget's."""

    def __post_init__(self) -> None:
        test, online = self.testing, self.online
        try:
            for name in self.tasks:
                tasks.get(name)
            seeds(test.split, test.first_seed, test.episodes)
        except SimError as error:
            raise TableError(str(error)) from error
        first = seeds(test.split, test.first_seed, 1)[0]
        if split_of(first) in ('pool', 'online'):
            raise TableError(f'testing.split is {test.split!r}, which is for training; choose '
                             'tune or test')
        if test.distribution not in DISTRIBUTIONS:
            raise TableError(f'testing.distribution is {test.distribution!r}; known: '
                             f'{", ".join(DISTRIBUTIONS)}')
        for where, value in (
                ('testing.episodes', test.episodes), ('online.rounds', online.rounds),
                ('online.episodes', online.episodes), ('branching.states', self.branching.states),
                ('branching.continuations', self.branching.continuations)):
            if value < 1:
                raise TableError(f'{where} is {value}; it must be at least 1')
        if self.branching.chunks < 2:
            raise TableError(f'branching.chunks is {self.branching.chunks}; ranking needs 2')
        if not test.noises or min(test.noises) < 0.0:
            raise TableError(f'testing.noises is {list(test.noises)}; give at least one, none '
                             'negative')
        if not test.best_of or min(test.best_of) < 1:
            raise TableError(f'testing.best_of is {list(test.best_of)}; give at least one, each '
                             '1 or more')

    @property
    def task_names(self) -> tuple[str, ...]:
        """The tasks, all of them if none are named."""
        return self.tasks or tuple(tasks.TASKS)

    @property
    def cameras(self) -> tuple[str, ...]:
        """What the robot records beside joints: nothing, if policies see the scene's features."""
        policy = self.train.policy
        return policy.cameras if policy.observation == 'cameras' else ()


def load(file: Path, overrides: Mapping[str, Any] | None = None) -> TableProtocol:
    """Read a protocol.

    Args:
        file: YAML; keys are those of TableProtocol.
        overrides: Dotted names and values that replace the file's.

    Raises:
        TableError: It names the file, the key, the value and the nearest known key.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding='utf-8')) or {}
    except (OSError, yaml.YAMLError) as error:
        raise TableError(f'{file} cannot be read as a protocol: {error}') from error
    if not isinstance(content, dict):
        raise TableError(f'{file} holds a {type(content).__name__}; it must hold keys and values')
    content.pop('kind', None)
    values = dict(flatten(content)) | dict(overrides or {})
    try:
        return build(TableProtocol, values, where=str(file))
    except (ParameterError, LearnerError, PolicyError) as error:
        raise TableError(str(error)) from error


Stage = Literal['offline', 'online']
