# SPDX-License-Identifier: Apache-2.0
"""Deployment in one process: rounds of episodes with a human, and of training on all there is.

rounds/NUMBER/policy/        what the round's episodes were made with
rounds/NUMBER/episodes/      their bags
rounds/NUMBER/outcomes.jsonl a line each, written when the bag is whole
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from g1_sim.operator import OperatorConfig
from g1_sim.seeds import seeds
from g1_sim.tasks.base import Terminal
from lwd_data.replay.catalogue import Catalogue
from lwd_learner import checkpoint
from lwd_learner.algorithms.base import Algorithm
from lwd_learner.data import Replay
from lwd_learner.engine import Engine
from lwd_learner.trainer import Progress, Trainer
from lwd_learner.training import TrainConfig, policy_config
from lwd_policy.store import POLICY, card_of, save_policy
from lwd_rollout.policy_controller import from_folder
from lwd_rollout.runner import Outcome, Setting, run_episode
from lwd_rollout.table.estimate import Spent, note
from lwd_rollout.table.layout import Layout
from lwd_rollout.table.lines import Lines
from lwd_rollout.table.methods import METHODS, Method
from lwd_rollout.table.protocol import TableProtocol

ROUNDS, EPISODES, OUTCOMES = 'rounds', 'episodes', 'outcomes.jsonl'
_STRETCH = 1_000_000
"""Scenes of a training seed: no two seeds meet the same ones."""


class Rounds:
    """The online stage of a cell."""

    def __init__(self, layout: Layout, method: Method, seed: int) -> None:
        """Prepare the stage; nothing is done yet."""
        self._layout, self._method, self._seed = layout, method, seed
        self._folder = layout.cell(method.name, seed)
        self.continues = METHODS[method.after].algorithm == method.algorithm
        """Whether the whole state of what it begins from is gone on with: critic, optimisers and
        reference, not the policy alone."""

    def adopt_checkpoint(self) -> None:
        """Let the trainer go on from the state that the cell begins from."""
        own = self._folder / checkpoint.FILE
        if not self.continues or own.is_file():
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        part = own.with_name(own.name + '.part')
        shutil.copyfile(
            self._layout.cell(self._method.after, self._seed) / checkpoint.FILE, part)
        part.replace(own)

    def run(self, trainer: Trainer, config: TrainConfig, engine: Engine, spent: Spent) -> Replay:
        """Do all rounds that are not done; returns the data of the last one."""
        if trainer.progress.stage == 'offline':
            # What came before is in the policy that it begins from.
            trainer.progress = Progress('online', 0, 0, 0, 0)
        replay: Replay | None = None
        total = self._layout.protocol.online.rounds
        # The last round's data are opened even if it is done: the policy's card names them.
        for number in range(min(trainer.progress.round, total - 1), total):
            if trainer.progress.round == number:
                self._collect(number, trainer.algorithm, spent)
            replay = self._replay(number, config, engine, replay)
            before, began = trainer.progress.step, time.monotonic()
            trainer.run(replay, 'online', number=number)
            note(spent, f'updates {self._method.algorithm} online',
                 trainer.progress.step - before, time.monotonic() - began)
        assert replay is not None  # noqa: S101  there is at least one round
        return replay

    def summary(self) -> list[dict[str, float]]:
        """Return what came of the episodes of each round that this cell collected."""
        found = []
        for number in range(self._layout.protocol.online.rounds):
            file = self._folder / ROUNDS / str(number) / OUTCOMES
            if not file.is_file():
                continue
            rows = Lines(file).rows
            steps = sum(row['steps'] for row in rows)
            found.append({
                'round': number, 'episodes': len(rows), 'steps': steps,
                'success': sum(row['success'] for row in rows) / len(rows),
                'interventions': sum(row['interventions'] for row in rows),
                'operator_share': sum(row['operator_steps'] for row in rows) / steps})
        return found

    def _replay(
        self, number: int, config: TrainConfig, engine: Engine, previous: Replay | None,
    ) -> Replay:
        """Return the offline data and those of the rounds so far."""
        source = self._method.data_of or self._method.name
        with Catalogue(self._folder / 'replay') as catalogue:
            # Later rounds find there what was trained on before.
            if number == 0:
                catalogue.add_folder(self._layout.pool, origin='offline')
            catalogue.add_folder(
                self._layout.cell(source, self._seed) / ROUNDS / str(number) / EPISODES,
                origin='online')
            snapshot = catalogue.snapshot()
        return Replay(snapshot, policy_config(config), engine, config.lwd.td, seed=config.seed,
                      previous=previous)

    def _collect(self, number: int, algorithm: Algorithm, spent: Spent) -> None:
        """Make the episodes of a round that are not there yet."""
        if self._method.data_of:
            return
        place = self._folder / ROUNDS / str(number)
        if not (place / POLICY).is_dir():
            # Once the round is trained on, the algorithm's policy is another one.
            save_policy(place / POLICY, algorithm.policy, card_of(
                algorithm.policy.config, algorithm.runtime, name=self._method.name,
                algorithm=algorithm.name, command=f'bench {self._layout.protocol.name}',
                seed=self._seed))
        protocol, online = self._layout.protocol, self._layout.protocol.online
        lines = Lines(place / OUTCOMES)
        done = {(row['task'], row['seed']) for row in lines.rows}
        shutil.rmtree(place / 'part', ignore_errors=True)
        (place / EPISODES).mkdir(exist_ok=True)
        first = self._seed * _STRETCH + number * online.episodes
        for scene in seeds('online', first, online.episodes):
            for task in protocol.task_names:
                if (task, scene) not in done:
                    began = time.monotonic()
                    lines.add(self.episode(place, task, scene, number))
                    note(spent, f'recorded {task}', 1, time.monotonic() - began)

    def episode(self, place: Path, task: str, scene: int, number: int) -> dict[str, Any]:
        """Record an episode of a round; returns what came of it: another simulator has another.

        Args:
            place: Of the round: its policy, and `episodes`, where the bag goes when it is whole.
            task: What it is of.
            scene: Its seed.
            number: Of the round.
        """
        name = f'{self._method.name}_{self._seed}_{number}_{task}_{scene:09d}'
        return record(
            self._layout.protocol, place / POLICY, place / 'part' / name, place / EPISODES / name,
            task, scene, operator=self._method.operator,
            custom={'method': self._method.name, 'round': str(number)})


def record(
    protocol: TableProtocol, policy: Path, part: Path, whole: Path, task: str, scene: int, *,
    operator: bool, custom: dict[str, str],
) -> dict[str, Any]:
    """Record an episode of a policy; returns its outcome as plain data.

    Args:
        protocol: Says what the robot sees, where, and how the operator acts.
        policy: Folder of the policy.
        part: Where it is recorded; it ends with the episode's name.
        whole: Where it goes when it is whole.
        task: What it is of.
        scene: Its seed.
        operator: Whether a human may take over.
        custom: What to keep with the record.
    """
    online = protocol.online
    outcome = run_episode(
        Setting(task, protocol.testing.distribution, cameras=protocol.cameras,
                image_size=protocol.train.policy.image_size),
        scene, from_folder(policy, scene), folder=part, custom=custom,
        operator=OperatorConfig(budget=online.operator_share) if operator else None,
        through_joy=online.through_joy)
    # There only if a kill came between its renaming and its line: it is the same episode.
    shutil.rmtree(whole, ignore_errors=True)
    part.rename(whole)
    return row_of(outcome)


def row_of(outcome: Outcome) -> dict[str, Any]:
    """Return an episode's outcome as plain data."""
    return {
        'task': outcome.task, 'seed': outcome.seed,
        'terminal': outcome.verdict.terminal.name.lower(),
        'success': outcome.verdict.terminal is Terminal.SUCCESS, 'score': outcome.verdict.score,
        'subtasks': list(outcome.verdict.subtask_scores), 'steps': outcome.steps,
        'seconds': outcome.seconds, 'interventions': outcome.interventions,
        'operator_steps': outcome.operator_steps, 'clipped_steps': outcome.clipped_steps}
