# SPDX-License-Identifier: Apache-2.0
"""What a run of the loop is: kept in its folder, so that it can be gone on with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from g1_sim import tasks as registry
from g1_sim.errors import SimError
from lwd_bringup.errors import BringupError
from lwd_bringup.run_folder import make

FILE = 'plan.json'
_EVALUATION_SEEDS = 1_000_000
"""Within the split: each run's seed has so many scenes of its own."""


@dataclass(frozen=True)
class LoopPlan:
    """A run of the loop."""

    robots: int = 2
    minutes: float = 10.0
    """How long the fleet deploys and learns."""
    tasks: tuple[str, ...] = ('restock', 'correct', 'cooler')
    policy: str = 'policies/default/policy'
    """Folder of the policy that the fleet begins with."""
    seed: int = 0
    """Of everything: scenes of the fleet and of the evaluation, training."""
    episodes: int = 100
    """Of each task, in each of the two evaluations."""
    split: str = 'test'
    """Of the evaluation's scenes; tune while settings are chosen."""
    pool_hours: float = 0.4
    """Of offline episodes to learn from as well, robot time; 0 for none."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of `lwd config fleet`, that replace its defaults."""

    def __post_init__(self) -> None:
        for name, low in (('robots', 1), ('minutes', 0.1), ('episodes', 1), ('pool_hours', 0.0)):
            if getattr(self, name) < low:
                raise BringupError(f'{name} is {getattr(self, name)}; it must be at least {low}')
        if not self.tasks:
            raise BringupError('tasks is empty; name at least one, see ./lwd tasks')
        try:
            for name in self.tasks:
                registry.get(name)
        except SimError as error:
            raise BringupError(str(error)) from error

    @property
    def first_test_seed(self) -> int:
        """Of the evaluation, within the split."""
        return self.seed * _EVALUATION_SEEDS


def begin(folder: Path, plan: LoopPlan) -> LoopPlan:
    """Write a plan into a new folder.

    Raises:
        BringupError: The folder holds a run already.
    """
    file = folder / FILE
    if file.exists():
        raise BringupError(
            f'{folder} holds a run already; go on with it: --resume {folder}, or choose another '
            '--dir')
    make(folder)
    plan = replace(plan, policy=str(Path(plan.policy).expanduser().absolute()))
    part = file.with_name(FILE + '.part')
    part.write_text(json.dumps(asdict(plan), indent=1), encoding='utf-8')
    part.replace(file)
    return plan


def resumed(folder: Path) -> LoopPlan:
    """Return the plan of a run that is there.

    Raises:
        BringupError: There is none, or it is of another version.
    """
    file = folder / FILE
    try:
        content = json.loads(file.read_text(encoding='utf-8'))
        return LoopPlan(**{**content, 'tasks': tuple(content['tasks'])})
    except FileNotFoundError as error:
        raise BringupError(f'{folder} holds no run: there is no {FILE} in it') from error
    except (ValueError, TypeError, KeyError) as error:
        raise BringupError(f'{file} cannot be read: {error}; it is damaged, or of another '
                           'version') from error
