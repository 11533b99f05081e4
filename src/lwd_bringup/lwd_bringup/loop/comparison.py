# SPDX-License-Identifier: Apache-2.0
"""A policy on held-out scenes, and two policies on the same ones."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import comb
from pathlib import Path
from typing import Any

from g1_sim import tasks as registry
from g1_sim.tasks.base import Terminal
from lwd_bringup.errors import BringupError
from lwd_rollout.evaluate import EvaluationPlan, draw_filmstrip, outcomes_of
from lwd_rollout.statistics import bootstrap_mean, wilson


@dataclass(frozen=True)
class Result:
    """One evaluated episode."""

    task: str
    seed: int
    success: bool
    score: float
    seconds: float
    """Of the robot's time; at the limit if it did not succeed."""


@dataclass(frozen=True)
class Comparison:
    """What became better from one policy to another."""

    episodes: int
    """Of each."""
    first: float
    first_low: float
    first_high: float
    """Success, Wilson 95 %."""
    last: float
    last_low: float
    last_high: float
    gain: float
    gain_low: float
    gain_high: float
    """Mean of the paired differences, bootstrap 95 %."""
    better: int
    worse: int
    """Scenes in which only the last, or only the first, succeeded."""
    p_value: float
    """Exact McNemar test, two-sided."""
    by_task: Mapping[str, tuple[float, float]]
    """Success of the first and of the last."""


def evaluated(
    policy: Path, file: Path, *, tasks: Sequence[str], distribution: str, episodes: int,
    split: str, first_seed: int, progress: Callable[[int, int, str], None],
) -> list[Result]:
    """Evaluate a policy, or return what was found in an earlier run.

    Args:
        policy: Its folder.
        file: JSON that keeps the results; a filmstrip of each task goes beside it.
        tasks: Names.
        distribution: train or deploy.
        episodes: Of each task.
        split: Of the seeds.
        first_seed: Within the split.
        progress: Called with episodes done, of how many, and what was done last.

    Raises:
        BringupError: The file holds results of something else.
    """
    plan = EvaluationPlan(
        str(policy), tuple(tasks), (distribution,), episodes=episodes, split=split,
        first_seed=first_seed)
    said = {key: value for key, value in asdict(plan).items() if key != 'controller'}
    said = json.loads(json.dumps(said))
    if file.is_file():
        content = json.loads(file.read_text(encoding='utf-8'))
        if content['plan'] != said:
            raise BringupError(f'{file} holds results of another evaluation; remove it, or choose '
                               'another folder')
        return [Result(**row) for row in content['results']]
    file.parent.mkdir(parents=True, exist_ok=True)
    outcomes = outcomes_of(plan, filmed=True, progress=progress)
    results = []
    for outcome in outcomes:
        success = outcome.verdict.terminal is Terminal.SUCCESS
        limit = registry.get(outcome.task).time_limit
        results.append(Result(
            outcome.task, outcome.seed, success, outcome.verdict.score,
            outcome.seconds if success else limit))
        if outcome.film:
            title = (f'{outcome.task}, {distribution}, seed {outcome.seed}: '
                     f'{outcome.verdict.terminal.name.lower()} after {outcome.seconds:.1f} s')
            draw_filmstrip([(title, outcome.film)],
                           file.with_name(f'{file.stem}_{outcome.task}.png'))
    part = file.with_name(file.name + '.part')
    part.write_text(json.dumps(
        {'plan': said, 'results': [asdict(result) for result in results]}), encoding='utf-8')
    os.replace(part, file)
    return results


def compare(first: Sequence[Result], last: Sequence[Result]) -> Comparison:
    """Compare two policies on the same scenes.

    Raises:
        BringupError: The scenes are not the same.
    """
    before = {(one.task, one.seed): one for one in first}
    after = {(one.task, one.seed): one for one in last}
    if before.keys() != after.keys():
        raise BringupError('the two evaluations were of different scenes; nothing can be compared')
    count = len(before)
    wins, won = (sum(one.success for one in some.values()) for some in (before, after))
    apart = [float(after[key].success) - float(before[key].success) for key in sorted(before)]
    better, worse = apart.count(1.0), apart.count(-1.0)
    low, high = bootstrap_mean(apart)
    return Comparison(
        count, wins / count, *wilson(wins, count), won / count, *wilson(won, count),
        sum(apart) / count, low, high, better, worse, mcnemar(better, worse),
        {task: (_rate(before, task), _rate(after, task))
         for task in dict.fromkeys(one.task for one in first)})


def mcnemar(better: int, worse: int) -> float:
    """Return the two-sided p value of so many discordant pairs under equal chances.

    p = 2 sum_{k <= min} C(n, k) / 2^n, at most 1.
    """
    n = better + worse
    tail = sum(comb(n, k) for k in range(min(better, worse) + 1))
    return min(1.0, 2.0 * tail / 2.0**n)


def _rate(results: Mapping[Any, Result], task: str) -> float:
    some = [one.success for one in results.values() if one.task == task]
    return sum(some) / len(some)
