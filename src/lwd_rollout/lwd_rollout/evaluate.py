# SPDX-License-Identifier: Apache-2.0
"""Evaluation: many episodes of a controller, in parallel, with intervals and filmstrips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from g1_sim import tasks
from g1_sim.errors import SimError
from g1_sim.render import CameraRig
from g1_sim.scene import DISTRIBUTIONS, PHRASINGS
from g1_sim.seeds import seeds, split_of
from g1_sim.tasks.base import Terminal
from lwd_rollout.errors import EvaluationError
from lwd_rollout.runner import (
    Film,
    MakeController,
    Outcome,
    Setting,
    expert,
    flawed_expert,
    run_episode,
)
from lwd_rollout.statistics import bootstrap_mean, wilson
from lwd_rollout.workers import workers

Image = NDArray[np.uint8]

_FRAMES = 8
_FILM_WIDTH, _FILM_HEIGHT = 240, 180


@dataclass(frozen=True)
class EvaluationPlan:
    """What is evaluated, and where."""

    controller: str = 'expert'
    """expert, flawed:SEVERITY (flawed:1.0), or the folder of a policy."""
    tasks: tuple[str, ...] = ()
    """Names; empty for all."""
    distributions: tuple[str, ...] = ('train', 'deploy')
    phrasing: str = 'train'
    """Of the instructions: train, or held_out (scenes stay the same)."""
    episodes: int = 100
    """Of each task and distribution."""
    split: str = 'tune'
    """Seeds: tune for choosing settings, test for results. Never those of pool or online."""
    first_seed: int = 0
    """Within the split."""
    noise: float = 1.0
    """Of a policy: standard deviation of its flow's initial noise."""
    best_of: int = 1
    """Of a policy: chunks among which its critic chooses."""
    films: bool = True
    """Whether to draw the first episode of each task and distribution."""

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise EvaluationError(f'episodes is {self.episodes}; it must be at least 1')
        for distribution in self.distributions:
            if distribution not in DISTRIBUTIONS:
                raise EvaluationError(f'unknown distribution {distribution!r}. Known: '
                                      f'{", ".join(DISTRIBUTIONS)}')
        if self.phrasing not in PHRASINGS:
            raise EvaluationError(f'unknown phrasing {self.phrasing!r}. Known: '
                                  f'{", ".join(PHRASINGS)}')
        try:
            for name in self.tasks:
                tasks.get(name)
            chosen = seeds(self.split, self.first_seed, self.episodes)
        except SimError as error:
            raise EvaluationError(str(error)) from error
        if split_of(chosen[0]) in ('pool', 'online'):
            raise EvaluationError(
                f'seeds of split {self.split!r} are for training; evaluate on tune or test')
        make_controller(self.controller, 0, noise=self.noise, best_of=self.best_of)


def make_controller(
    name: str, seed: int, *, noise: float = 1.0, best_of: int = 1,
) -> MakeController:
    """Return what makes a controller.

    Raises:
        EvaluationError: There is no such controller.
    """
    kind, _, argument = name.partition(':')
    if kind == 'expert' and not argument:
        return expert()
    if kind == 'flawed':
        try:
            severity = float(argument)
        except ValueError as error:
            raise EvaluationError(
                f'{name!r}: write a severity, as in flawed:1.0') from error
        return flawed_expert(np.random.default_rng([seed, 13]), severity)
    if (Path(name) / 'card.json').is_file():
        from lwd_rollout.policy_controller import from_folder
        return from_folder(Path(name), seed, noise=noise, best_of=best_of)
    raise EvaluationError(
        f'unknown controller {name!r}. Known: expert, flawed:SEVERITY, or the folder of a policy '
        '(with card.json)')


@dataclass(frozen=True)
class Row:
    """What came of one task and distribution."""

    task: str
    distribution: str
    episodes: int
    success: float
    success_low: float
    success_high: float
    """Wilson 95 %."""
    score: float
    score_low: float
    score_high: float
    """Bootstrap 95 %."""
    seconds: float
    """Mean cycle time in the robot's time, time-outs counted at the limit."""
    subtasks: dict[str, float]
    """Mean score of each subtask."""
    clipped: float
    """Share of steps in which the safety filter changed something."""
    steps: int


def evaluate(
    plan: EvaluationPlan, folder: Path | None = None, *, processes: int = 0,
    progress: Callable[[int, int, str], None] = lambda *_: None,
) -> list[Row]:
    """Run an evaluation.

    Args:
        plan: What.
        folder: Where filmstrips go; none are drawn without it.
        processes: How many; 0 for one a core.
        progress: Called with episodes done, of how many, and what was done last.
    """
    filmed = plan.films and folder is not None
    found = outcomes_of(plan, filmed=filmed, processes=processes, progress=progress)
    pairs = _pairs(plan)
    outcomes: dict[tuple[str, str], list[Outcome]] = {pair: [] for pair in pairs}
    for outcome in found:
        outcomes[outcome.task, outcome.distribution].append(outcome)
    if folder is not None and plan.films:
        folder.mkdir(parents=True, exist_ok=True)
        for name in dict(pairs):
            films = [(f'{name}, {outcome.distribution}, seed {outcome.seed}: '
                      f'{outcome.verdict.terminal.name.lower()} after {outcome.seconds:.1f} s',
                      outcome.film)
                     for distribution in plan.distributions
                     for outcome in outcomes[name, distribution] if outcome.film]
            draw_filmstrip(films, folder / f'{name}.png')
    return [_row(pair, group) for pair, group in outcomes.items()]


def _pairs(plan: EvaluationPlan) -> list[tuple[str, str]]:
    names = plan.tasks or tuple(tasks.TASKS)
    return [(name, distribution) for name in names for distribution in plan.distributions]


def outcomes_of(
    plan: EvaluationPlan, *, filmed: bool = False, processes: int = 0,
    progress: Callable[[int, int, str], None] = lambda *_: None,
) -> list[Outcome]:
    """Run an evaluation's episodes; returns them in the order of task, distribution and seed.

    Args:
        plan: What.
        filmed: Whether to take pictures of the first episode of each task and distribution.
        processes: How many; 0 for one a core.
        progress: Called with episodes done, of how many, and what was done last.
    """
    jobs = [
        (name, distribution, seed, plan, filmed and i == 0)
        for name, distribution in _pairs(plan)
        for i, seed in enumerate(seeds(plan.split, plan.first_seed, plan.episodes))]
    with workers(processes) as pool:
        futures = [pool.submit(_episode, *job) for job in jobs]
        for done, future in enumerate(as_completed(futures), start=1):
            outcome = future.result()
            progress(done, len(jobs), f'{outcome.task} {outcome.distribution}')
    return [future.result() for future in futures]


def _episode(
    task: str, distribution: str, seed: int, plan: EvaluationPlan, filmed: bool,
) -> Outcome:
    setting = Setting(task, distribution, plan.phrasing)
    make = make_controller(plan.controller, seed, noise=plan.noise, best_of=plan.best_of)
    if not filmed:
        return run_episode(setting, seed, make)
    with CameraRig((), width=_FILM_WIDTH, height=_FILM_HEIGHT) as rig:
        film = Film(lambda world: rig.view(world).copy(), 0.5)
        return run_episode(setting, seed, make, film=film)


def _row(pair: tuple[str, str], outcomes: Sequence[Outcome]) -> Row:
    successes = sum(outcome.verdict.terminal is Terminal.SUCCESS for outcome in outcomes)
    scores = [outcome.verdict.score for outcome in outcomes]
    subtasks = np.mean([outcome.verdict.subtask_scores for outcome in outcomes], axis=0)
    steps = sum(outcome.steps for outcome in outcomes)
    limit = tasks.get(pair[0]).time_limit
    # A failure, too, costs the time that a success might have taken: it counts at the limit.
    seconds = [outcome.seconds if outcome.verdict.terminal is Terminal.SUCCESS else limit
               for outcome in outcomes]
    return Row(
        *pair, len(outcomes), successes / len(outcomes), *wilson(successes, len(outcomes)),
        float(np.mean(scores)), *bootstrap_mean(scores), float(np.mean(seconds)),
        {name: round(float(score), 4)
         for name, score in zip(tasks.get(pair[0]).subtasks, subtasks)},
        sum(outcome.clipped_steps for outcome in outcomes) / steps, steps)


def draw_filmstrip(films: Sequence[tuple[str, Sequence[Image]]], file: Path) -> None:
    """Write a PNG with a row of pictures an episode, evenly spread over it."""
    rows = []
    for title, film in films:
        chosen = [film[round(part * (len(film) - 1))] for part in np.linspace(0.0, 1.0, _FRAMES)]
        picture = np.hstack(chosen)
        band = np.full((22, picture.shape[1], 3), 255, dtype=np.uint8)
        cv2.putText(band, title, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (20, 20, 20), 1,
                    cv2.LINE_AA)
        rows += [band, picture]
    if rows and not cv2.imwrite(str(file), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR)):
        raise EvaluationError(f'cannot write {file}')


def as_json(plan: EvaluationPlan, rows: Sequence[Row]) -> dict[str, Any]:
    """Return plan and rows as plain data."""
    return {'plan': asdict(plan), 'rows': [asdict(row) for row in rows]}
