# SPDX-License-Identifier: Apache-2.0
"""Writes folders as `lwd demo` leaves them, with a fleet that gets better, without running one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np

from g1_description.joints import COMMAND_NAMES
from lwd_bringup.loop.comparison import Result
from lwd_bringup.loop.folder import EVALUATION, SUMMARY, TIMELINE
from lwd_bringup.loop.plan import LoopPlan, begin
from lwd_bringup.loop.state import EpisodeFact, FleetFact, LearnerFact, PolicyFact, RobotFact
from lwd_bringup.loop.timeline import Timeline
from lwd_learner import metrics
from lwd_policy.card import PolicyCard, PolicyLayout, dumps
from lwd_policy.published import PUBLICATION_FILE
from lwd_policy.weights import CARD_FILE

TASKS = ('restock', 'cooler')
ROBOTS = ('g1_01', 'g1_02')
EPISODE_SECONDS = 10.0


def version_of(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def fleet(
    seconds: float = 300.0, *, seed: int = 0, first_policy: int = 1, policy_seconds: float = 60.0,
) -> FleetFact:
    """Return what a monitor knows of a fleet after a while."""
    rng = np.random.default_rng(seed)
    fact = FleetFact(seconds=seconds, robots={name: RobotFact(name) for name in ROBOTS})
    for number in range(1 + int(seconds / policy_seconds)):
        at = number * policy_seconds
        fact.policies.append(PolicyFact(
            first_policy + number, version_of(first_policy + number), 100 * number, 'f' * 64, at,
            {name: at + float(rng.uniform(0.4, 1.5)) for name in ROBOTS}))
    for name, robot in fact.robots.items():
        for index in range(int(seconds / EPISODE_SECONDS) - 1):
            ended = (index + 1) * EPISODE_SECONDS
            policy = fact.policies[int(ended / policy_seconds)]
            win = bool(rng.random() < 0.3 + 0.6 * ended / seconds)
            helped = int(rng.random() < 0.3)
            fact.episodes.append(EpisodeFact(
                name, f'{name}-{seed}-{index}', TASKS[index % 2], 'success' if win else 'timeout',
                float(win), [policy.version], helped, ended, ended + float(rng.uniform(0.1, 2.0))))
            robot.episodes, robot.successes = robot.episodes + 1, robot.successes + win
            robot.interventions += helped
        robot.steps, robot.swaps = int(30 * seconds), len(fact.policies) - 1
        robot.task, robot.episode, robot.control = TASKS[0], f'{name}-now', 'policy'
        robot.version, robot.inference_p50 = fact.policies[-1].version, 0.004
    fact.episodes.sort(key=lambda each: each.ended)
    fact.segments = 2 * len(fact.episodes)
    fact.learner = LearnerFact(
        'training', 'lwd', 100 * (len(fact.policies) - 1), 'f' * 64, len(fact.episodes), 4000,
        len(fact.policies), {'loss/q': 0.01, 'loss/value': 1.5, 'actor/kl': 4.0}, 'critic')
    return fact


def tell(folder: Path, *facts: FleetFact, before: float = 0.0) -> None:
    """Write the timeline of a start."""
    with Timeline(folder / TIMELINE, before) as timeline:
        for fact in facts:
            timeline.add(fact)


def begun(folder: Path, **changes: object) -> LoopPlan:
    """Write the plan of a run that has done nothing else yet."""
    return begin(folder, LoopPlan(**{
        'tasks': TASKS, 'episodes': 10, 'settings': {'learner.learner.keep': 7}, **changes}))


def evaluate(folder: Path, which: str, chance: float, *, episodes: int = 10) -> list[Result]:
    """Write an evaluation with filmstrips."""
    rng = np.random.default_rng(3)
    results = []
    (folder / EVALUATION).mkdir(exist_ok=True)
    for task in TASKS:
        for index in range(episodes):
            win = bool(rng.random() < chance)
            results.append(Result(task, index, win, float(win), 12.0 if win else 40.0))
        film = np.full((142, 6 * 160, 3), (210, 180, 150), dtype=np.uint8)
        cv2.putText(film, f'{which} {task}', (20, 80), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (30, 30, 30))
        cv2.imwrite(str(folder / EVALUATION / f'{which}_{task}.png'), film)
    (folder / EVALUATION / f'{which}.json').write_text(json.dumps(
        {'plan': {}, 'results': [asdict(result) for result in results]}))
    return results


def learn(folder: Path, rounds: int = 4) -> None:
    """Write metrics and published policies of a learner."""
    run = folder / 'learner'
    run.mkdir()
    with (run / metrics.FILE).open('w', encoding='utf-8') as file:
        for number in range(rounds):
            file.write(json.dumps({
                'step': 100 * number, 'phase': 'data', 'seconds': 1.0,
                'data/windows': 3000 + 500 * number, 'data/episodes': 40 + 10 * number,
                'data/staleness': 0.5 * number,
                'data/origin/offline': 3000, 'data/origin/online': 500 * number,
                'data/task/restock': 2000, 'data/task/cooler': 1000 + 500 * number,
                'data/source/policy': 2500, 'data/source/teleop': 500 + 500 * number,
                'data/outcome/success': 2000, 'data/outcome/timeout': 1000 + 500 * number}) + '\n')
            for step in range(100 * number + 25, 100 * number + 101, 25):
                file.write(json.dumps({
                    'step': step, 'phase': 'critic', 'seconds': 1.0, 'loss/q': 1.0 / step,
                    'loss/value': 2.0 - step / 1000, 'actor/kl': step / 100}) + '\n')
    for number in range(1, rounds + 1):
        version = version_of(number)
        place = run / 'published' / f'{number:08d}-{version[:12]}'
        place.mkdir(parents=True)
        (place / CARD_FILE).write_text(dumps(PolicyCard(
            name='demo', architecture={}, observation='scene',
            layout=PolicyLayout(tuple(COMMAND_NAMES), 30), algorithm='lwd', command='test', seed=0,
            parent=version_of(number - 1) if number > 1 else '', version=version)))
        (place / PUBLICATION_FILE).write_text(json.dumps({
            'number': number, 'version': version, 'stamp_ns': number, 'update': 100 * number,
            'snapshot': 'f' * 64, 'metrics': {}, 'folder': place.name}))


def finished(folder: Path) -> None:
    """Write a run from its plan to its summary."""
    begun(folder)
    evaluate(folder, 'first', 0.3)
    tell(folder, fleet(60.0), fleet(300.0))
    learn(folder)
    evaluate(folder, 'last', 0.8)
    (folder / 'versions.jsonl').write_text('{"python": "3.11.2", "torch": "2.13.0"}\n')
    (folder / SUMMARY).write_text(json.dumps({
        'finished': '2026-01-02T03:04:05+0000', 'segments_registered': 1234}))
