# SPDX-License-Identifier: Apache-2.0
"""Trains and tests the methods of `lwd bench table` on Meta-World, with its cells and budgets."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.meta.episodes import demonstrate, drive
from benchmarks.meta.simulator import Simulator
from lwd_data.replay.catalogue import Catalogue
from lwd_policy.runtime import ChunkSampler
from lwd_policy.store import POLICY, load_policy
from lwd_rollout.table.layout import Layout
from lwd_rollout.table.lines import Lines
from lwd_rollout.table.methods import Method
from lwd_rollout.table.protocol import TableProtocol
from lwd_rollout.table.rounds import EPISODES, Rounds
from lwd_rollout.table.train import train

POOL_SEEDS, TEST_SEEDS = 0, 500_000_000
"""First scenes of the offline data, and of tests; rounds take theirs from split `online`."""


class MetaProtocol(TableProtocol):
    """A protocol whose tasks are Meta-World's."""

    def __post_init__(self) -> None:
        """Check nothing: tasks, splits and shifts of the simulated G1 are not meant here."""


@dataclass(frozen=True)
class Unit:
    """One task with one training seed: a policy of its own for every method."""

    folder: Path
    """Of the task; units of other seeds share it."""
    protocol: MetaProtocol
    methods: tuple[str, ...]
    """In the order in which they need each other."""
    noises: tuple[float, ...]
    """Of the flow, that they are tested with."""
    seed: int
    python: str
    """With Meta-World."""

    @property
    def layout(self) -> Layout:
        """Where its cells are."""
        return Layout(self.folder / f'seed-{self.seed}', self.protocol, self.folder / 'pool')

    @property
    def task(self) -> str:
        """Its name."""
        return self.protocol.task_names[0]


class _Rounds(Rounds):
    """Online episodes in Meta-World, without an operator."""

    def __init__(self, layout: Layout, method: Method, seed: int, *, simulator: Simulator) -> None:
        super().__init__(layout, method, seed)
        self._simulator = simulator

    def episode(self, place: Path, task: str, scene: int, number: int) -> dict[str, Any]:
        """Record an episode of a round; returns what came of it."""
        sampler, version = _sampler(place / POLICY, scene)
        episode = drive(self._simulator, task, scene, sampler, version)
        episode.write(place / EPISODES / f'{task}_{number}_{scene:09d}')
        return {**episode.row(), 'interventions': 0, 'operator_steps': 0}


def make_pool(folder: Path, task: str, count: int, python: str) -> float:
    """Record the script's episodes that are not there yet; returns how many of all succeeded."""
    lines = Lines(folder / 'outcomes.jsonl')
    simulator = Simulator(python)
    try:
        for seed in range(POOL_SEEDS + len(lines.rows), POOL_SEEDS + count):
            episode = demonstrate(simulator, task, seed)
            episode.write(folder / 'pool' / f'{task}_{seed:09d}')
            lines.add(episode.row())
    finally:
        simulator.close()
    return sum(row['success'] for row in lines.rows) / len(lines.rows)


def run(unit: Unit) -> None:
    """Train and test what is not there yet."""
    import torch
    torch.set_num_threads(1)
    layout = unit.layout
    layout.freeze()
    with Catalogue(layout.replay) as catalogue:
        catalogue.add_folder(layout.pool, origin='offline')
    simulator = Simulator(unit.python)
    try:
        for name in unit.methods:
            train(layout, name, unit.seed, deployed=partial(_Rounds, simulator=simulator))
            _score(unit, name, simulator)
            print(f'{unit.task}, seed {unit.seed}: {name} is there', flush=True)
    finally:
        simulator.close()


def _score(unit: Unit, name: str, simulator: Simulator) -> None:
    layout, count = unit.layout, unit.protocol.testing.episodes
    for noise in unit.noises:
        file = layout.scores(name, unit.seed, unit.task, noise, 1)
        if layout.read(file) is not None:
            continue
        lines = Lines(file.with_suffix('.jsonl'))
        for scene in range(TEST_SEEDS + len(lines.rows), TEST_SEEDS + count):
            sampler, version = _sampler(layout.cell(name, unit.seed) / POLICY, scene, noise)
            lines.add(drive(simulator, unit.task, scene, sampler, version).row())
        layout.write(file, {'episodes': lines.rows})
        lines.remove()


def _sampler(policy: Path, scene: int, noise: float = 1.0) -> tuple[ChunkSampler, str]:
    network, runtime, card = load_policy(policy)
    options = replace(runtime, noise=noise)
    return ChunkSampler(network, options, seed=scene), card.version


def scores(unit: Unit, name: str, noise: float) -> list[float] | None:
    """Return 0 or 1 for each test episode of a cell; None if it was not tested."""
    file = unit.layout.scores(name, unit.seed, unit.task, noise, 1)
    if not file.is_file():
        return None
    return [float(row['success']) for row in json.loads(file.read_text())['episodes']]
