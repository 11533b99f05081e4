# SPDX-License-Identifier: Apache-2.0
"""How learning scales with the fleet: episodes and time until a policy reaches a success rate.

Each fleet begins from the same offline policy and learns by LWD from what its own robots do, on a
clock of its own (see fleet_clock.py). Every published policy is tried on the same scenes of split
`tune`. Time is the fleet's: robots take as long as their episodes, the learner `update_seconds`
for each update, however fast this machine is.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from g1_sim.seeds import seeds
from lwd_data.replay.catalogue import Catalogue
from lwd_learner import checkpoint
from lwd_learner.data import Replay
from lwd_learner.engine import Engine
from lwd_learner.trainer import Trainer
from lwd_learner.training import make_algorithm, policy_config
from lwd_policy.store import POLICY, card_of, save_policy
from lwd_rollout.errors import TableError
from lwd_rollout.policy_controller import from_folder
from lwd_rollout.runner import Setting, run_episode
from lwd_rollout.table.fleet_clock import Begun, Pace, Round, run_fleet
from lwd_rollout.table.layout import TRAINED, Layout
from lwd_rollout.table.lines import Lines
from lwd_rollout.table.methods import METHODS
from lwd_rollout.table.rounds import record, row_of
from lwd_rollout.table.settings import of_cell
from lwd_rollout.workers import workers

_METHOD = METHODS['lwd_online']
_FIRST_ONLINE, _FIRST_TUNE = 90_000_000, 40_000_000
"""Scenes apart from those of cells, and from those that settings were chosen on."""


@dataclass(frozen=True)
class ScalingPlan:
    """What is measured."""

    robots: tuple[int, ...] = (1, 2, 4, 8, 16)
    target: float = field(default=0.8, metadata={'range': (0.0, 1.0)})
    """Success rate, mean over the tasks."""
    seed: int = 0
    """Of the offline cell that the fleets begin from."""
    round_episodes: int = 16
    """New episodes that the learner waits for before a round."""
    rounds: int = 20
    """A fleet that has not reached the target after so many is given up."""
    episodes: int = 25
    """Of each task, on which each published policy is tried."""
    reset: float = 20.0
    """Setting a scene up again, s."""
    update_seconds: float = 0.3
    """Of one update of the learner; .3 was measured on one core of a laptop's size."""

    def __post_init__(self) -> None:
        if not self.robots or min(self.robots) < 1:
            raise TableError(f'robots is {list(self.robots)}; give at least one number, each 1 or '
                             'more')
        for name in ('round_episodes', 'rounds', 'episodes'):
            if getattr(self, name) < 1:
                raise TableError(f'{name} is {getattr(self, name)}; it must be at least 1')
        if self.reset < 0.0 or self.update_seconds < 0.0:
            raise TableError(f'reset is {self.reset} and update_seconds {self.update_seconds}; '
                             'neither may be negative')


def scale(
    layout: Layout, plan: ScalingPlan, robots: int, *,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Let one fleet learn until it reaches the target, or go on with it; returns what came of it.

    Raises:
        TableError: The offline cell is not trained, or the folder is of another plan or protocol.
    """
    fleet = _Fleet(layout, plan, robots, say)
    known = layout.read(fleet.folder / 'fleet.json')
    if known is not None:
        return known
    try:
        if fleet.begin():
            run_fleet(robots, fleet.pace, fleet.episode, fleet.train)
    finally:
        fleet.trainer.close()
    reached = next((row for row in fleet.published if row['success'] >= plan.target), None)
    layout.write(fleet.folder / 'fleet.json', {
        'robots': robots, 'target': plan.target, 'reached': reached, 'rounds': fleet.published})
    return layout.read(fleet.folder / 'fleet.json') or {}


def scale_all(
    layout: Layout, plan: ScalingPlan, *, processes: int = 0,
    say: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Let all fleets of a plan learn, side by side; returns what came of each.

    Raises:
        TableError: See `scale`.
    """
    claim(layout, plan)
    with workers(processes) as pool:
        futures = {pool.submit(scale, layout, plan, robots): robots for robots in plan.robots}
        for future in as_completed(futures):
            reached = future.result()['reached']
            say(f'{futures[future]} robots: ' + (
                f'not {plan.target:g} after {plan.rounds} rounds' if reached is None else
                f'{plan.target:g} after {reached["episodes"]} episodes, '
                f'{reached["published"] / 60.0:.0f} min'))
    return [future.result() for future in futures]


def claim(layout: Layout, plan: ScalingPlan) -> Path:
    """Return the folder of a plan's fleets, made if it is not there.

    Raises:
        TableError: It is of another plan, or the offline cell is not trained.
    """
    start = layout.cell(_METHOD.after, plan.seed) / TRAINED
    if layout.read(start) is None:
        raise TableError(f'{start} is not there: fleets begin from that cell; train it first '
                         '(lwd bench table)')
    folder = layout.folder / 'scaling'
    # Which fleets there are changes nothing in any of them.
    content = {name: value for name, value in asdict(plan).items() if name != 'robots'}
    known = layout.read(folder / 'plan.json')
    if known is None:
        layout.write(folder / 'plan.json', {'plan': content})
    elif known['plan'] != content:
        apart = ', '.join(f'{name} {known["plan"].get(name)}, not {value}'
                          for name, value in content.items() if known['plan'].get(name) != value)
        raise TableError(f'{folder} was begun with another plan ({apart}); remove it, or go on '
                         'with that one')
    return folder


class _Fleet:
    """One fleet: its episodes, and its learner."""

    def __init__(
        self, layout: Layout, plan: ScalingPlan, robots: int, say: Callable[[str], None],
    ) -> None:
        self._layout, self._plan, self._say, self._robots = layout, plan, say, robots
        self.folder = claim(layout, plan) / f'{robots}-robots'
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.folder / 'part', ignore_errors=True)
        (self.folder / 'episodes').mkdir(exist_ok=True)
        self._start = layout.cell(_METHOD.after, plan.seed)
        own = self.folder / checkpoint.FILE
        if not own.is_file():
            part = own.with_name(own.name + '.part')
            shutil.copyfile(self._start / checkpoint.FILE, part)
            part.replace(own)
        self._config = of_cell(layout.protocol, _METHOD, plan.seed)
        self._engine = Engine(self._config.engine)
        self.trainer = Trainer(
            make_algorithm(self._config, self._engine), self._engine, self._config.trainer,
            self.folder, seed=plan.seed)
        self._lines = Lines(self.folder / 'episodes.jsonl')
        self._replay: Replay | None = None
        self.pace = Pace(plan.reset, layout.protocol.budget.round * plan.update_seconds,
                         plan.round_episodes)
        self.published: list[dict[str, Any]] = []

    def begin(self) -> bool:
        """Try the policy that the fleet begins with; returns whether there is more to learn."""
        file = self.folder / 'start.json'
        if self._layout.read(file) is None:
            self._layout.write(file, {
                'number': -1, 'time': 0.0, 'published': 0.0, 'episodes': 0, 'hours': 0.0,
                **self._try(self._start / POLICY)})
        row = self._layout.read(file)
        assert row is not None  # noqa: S101  it was just written
        self.published.append(row)
        return row['success'] < self._plan.target

    def episode(self, begun: Begun) -> float:
        """Run an episode, or remember it; returns how long it took, s."""
        if begun.number < len(self._lines.rows):
            return float(self._lines.rows[begun.number]['seconds'])
        names = self._layout.protocol.task_names
        name = self._name(begun.number)
        policy = self._start / POLICY if begun.version == 0 else self._policy(begun.version - 1)
        scene = seeds('online', _FIRST_ONLINE + begun.number, 1)[0]
        row = record(
            self._layout.protocol, policy, self.folder / 'part' / name,
            self.folder / 'episodes' / name, names[begun.number % len(names)], scene,
            operator=True, custom={'robot': str(begun.robot)})
        self._lines.add(row)
        return float(row['seconds'])

    def train(self, this: Round, episodes: list[int]) -> bool:
        """Train a round and try its policy, or remember both; returns whether to go on."""
        file = self.folder / 'rounds' / str(this.number) / 'tried.json'
        row = self._layout.read(file)
        if row is None:
            self._round(this, episodes)
            self._layout.write(file, {
                **asdict(this), **self._try(self._policy(this.number))})
            row = self._layout.read(file)
        assert row is not None  # noqa: S101  it was just written
        self.published.append(row)
        self._say(f'{self._robots} robots: {row["episodes"]} episodes, '
                  f'{row["published"] / 60.0:.0f} min: success {row["success"]:.2f}')
        return row['success'] < self._plan.target and this.number + 1 < self._plan.rounds

    def _name(self, number: int) -> str:
        return f'fleet_{self._robots}_{number:06d}'

    def _policy(self, number: int) -> Path:
        return self.folder / 'rounds' / str(number) / POLICY

    def _round(self, this: Round, episodes: list[int]) -> None:
        """Train on the episodes that were over when the round began, and on no others."""
        if self._policy(this.number).is_dir():
            return
        store = self.folder / 'replay'
        with Catalogue(store) as catalogue:
            if this.number == 0:
                catalogue.add_folder(self._layout.pool, origin='offline')
            for number in episodes:
                catalogue.add_folder(
                    self.folder / 'episodes' / self._name(number), origin='online')
            snapshot = catalogue.snapshot()
        self._replay = Replay(
            snapshot, policy_config(self._config), self._engine, self._config.lwd.td,
            seed=self._plan.seed, previous=self._replay)
        self.trainer.run(self._replay, 'online', number=this.number)
        algorithm = self.trainer.algorithm
        save_policy(self._policy(this.number), algorithm.policy, card_of(
            algorithm.policy.config, algorithm.runtime, name=f'fleet of {self._robots}',
            algorithm=algorithm.name, command='bench scaling', seed=self._plan.seed,
            snapshot=snapshot.id))

    def _try(self, policy: Path) -> dict[str, float]:
        """Return success and score of a policy, means over the tasks' scenes."""
        protocol, rows = self._layout.protocol, []
        for task in protocol.task_names:
            setting = Setting(task, protocol.testing.distribution, cameras=protocol.cameras,
                              image_size=protocol.train.policy.image_size)
            for scene in seeds('tune', _FIRST_TUNE, self._plan.episodes):
                rows.append(row_of(run_episode(setting, scene, from_folder(policy, scene))))
        return {'success': sum(row['success'] for row in rows) / len(rows),
                'score': sum(row['score'] for row in rows) / len(rows)}
