# SPDX-License-Identifier: Apache-2.0
"""Whether a critic ranks a policy's chunks the better, the more of its episodes it has seen.

The shipped policy is recorded by itself on `deploy`. Its critic goes on learning from the first
COUNTS of these episodes (0,500,3000; 0 leaves it as it is), each for as many UPDATES with n = 10
and then with n = 1 (1500,0), and is asked three things: how far Q is from what comes of episodes
that no critic has seen (split `online`, other scenes); whether, within one state of the simulator,
Q orders chunks as their outcomes do; and whether the policy succeeds more often with the best of
eight chunks by Q, paired by scene (split `tune`). SHUFFLED=1 adds the negative control: a critic
of the most episodes with their outcomes shuffled.

What is there in RUN (runs/critic) is kept. TESTS (100) scenes and STATES (30) of each of TASKS;
with CONTINUATIONS (1) of two or more `decided` says how much of the outcome within a state a chunk
decides at all.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from concurrent.futures import as_completed
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.harness import quick, report
from g1_sim.seeds import seeds
from g1_sim.tasks.base import Terminal
from lwd_data.replay.catalogue import Catalogue
from lwd_learner.algorithms.base import Feed
from lwd_learner.algorithms.common import sample_of
from lwd_learner.algorithms.lwd import Lwd, LwdConfig
from lwd_learner.data import Replay
from lwd_learner.engine import Engine, EngineConfig
from lwd_learner.td import outcomes
from lwd_learner.trainer import Trainer, TrainerConfig
from lwd_policy.runtime import RuntimeConfig
from lwd_policy.store import CRITIC, POLICY, card_of, load_critic, load_policy, save_critic
from lwd_rollout.branching import BranchPlan, State, branch
from lwd_rollout.evaluate import EvaluationPlan, outcomes_of
from lwd_rollout.policy_controller import from_folder
from lwd_rollout.ranking import judged, ranking
from lwd_rollout.runner import Setting, run_episode
from lwd_rollout.statistics import bootstrap_mean
from lwd_rollout.workers import workers

SHIPPED = Path(__file__).parents[1] / 'policies' / 'default'
_QUICK = {'TASKS': 'restock', 'COUNTS': '0,4', 'UPDATES': '3,1', 'TESTS': '2', 'STATES': '1',
          'CONTINUATIONS': '1'}
_WHOLE = {'TASKS': 'restock,correct,cooler', 'COUNTS': '0,500,3000', 'UPDATES': '1500,0',
          'TESTS': '100', 'STATES': '30', 'CONTINUATIONS': '1'}
SETTING = {name: os.environ.get(name, value)
           for name, value in (_QUICK if quick() else _WHOLE).items()}
TASKS = tuple(SETTING['TASKS'].split(','))
COUNTS = [int(word) for word in SETTING['COUNTS'].split(',')]
LONG, SHORT = (int(word) for word in SETTING['UPDATES'].split(','))
TESTS, STATES = int(SETTING['TESTS']), int(SETTING['STATES'])
CONTINUATIONS = int(SETTING['CONTINUATIONS'])
SHUFFLED = os.environ.get('SHUFFLED', '') == '1'
UNSEEN = 2 if quick() else 200
"""Episodes that no critic is trained on, to measure errors on."""
BEST_OF, CHUNKS = 8, 2 if quick() else 6
_BATCHES = 2 if quick() else 40


def recorded(folder: Path, first: int, count: int) -> list[Path]:
    """Record episodes of the shipped policy that are not there yet; returns all, in order."""
    jobs = [(TASKS[number % len(TASKS)], seed)
            for number, seed in enumerate(seeds('online', first, count))]
    places = [folder / f'{task}_{seed:09d}' for task, seed in jobs]
    folder.mkdir(parents=True, exist_ok=True)
    with workers() as pool:
        waiting = [pool.submit(record, task, seed, place)
                   for (task, seed), place in zip(jobs, places) if not place.is_dir()]
        for done, future in enumerate(as_completed(waiting), start=1):
            future.result()
            if done % 100 == 0:
                print(f'{folder.name}: {done} of {len(waiting)} episodes recorded', flush=True)
    return places


def record(task: str, seed: int, place: Path) -> None:
    """Record an episode; its folder gets its name once it is whole."""
    part = place.parent / 'part' / place.name
    shutil.rmtree(part, ignore_errors=True)
    run_episode(Setting(task, 'deploy'), seed, from_folder(SHIPPED / POLICY, seed), folder=part)
    part.rename(place)


def replay_of(folder: Path, episodes: list[Path], engine: Engine, config: LwdConfig) -> Replay:
    """Return the windows of some recorded episodes."""
    with Catalogue(folder) as catalogue:
        for place in episodes:
            catalogue.add_folder(place, origin='online')
        snapshot = catalogue.snapshot()
    policy, _, _ = load_policy(SHIPPED / POLICY)
    return Replay(snapshot, policy.config, engine, config.td)


def train(place: Path, episodes: list[Path], unseen: list[Path], *, shuffled: bool) -> None:
    """Train the shipped critic on with episodes; note how wrong it is there and elsewhere."""
    engine = Engine(EngineConfig(device='cpu', precision='bf16', threads=1))
    config = LwdConfig(critic_updates=LONG, settle_updates=SHORT, actor_updates=0)
    config = replace(config, value=replace(config.value, shuffle_outcomes=shuffled))
    policy, _, card = load_policy(SHIPPED / POLICY)
    algorithm = Lwd(config, policy.config, engine)
    algorithm.start_from(policy)
    algorithm.adopt_critic(load_critic(SHIPPED / CRITIC))
    replays = {'unseen': replay_of(place / 'unseen', unseen, engine, config)}
    if episodes:
        replays['seen'] = replay_of(place / 'seen', episodes, engine, config)
        trainer = Trainer(algorithm, engine, TrainerConfig(tensorboard=False), place / 'training')
        trainer.run(replays['seen'], 'offline')
        trainer.close()
    found = {}
    for name, replay in replays.items():
        sampler = replay.sampler(Feed('all', config.batch_size))
        errors = [algorithm.values.errors(sample_of(batch, engine), outcomes(batch, config.td))
                  for batch in map(sampler.batch, range(_BATCHES))]
        found[f'error_{name}'], found[f'variance_{name}'] = np.mean(
            [each for each in errors if each is not None], axis=0).tolist()
    (place / 'errors.json').write_text(json.dumps(found), encoding='utf-8')
    shutil.copytree(SHIPPED / POLICY, place / POLICY, dirs_exist_ok=True)
    save_critic(place / CRITIC, algorithm.critic, policy.config, card_of(
        policy.config, RuntimeConfig(), name='critic', algorithm='lwd', command='critic', seed=0,
        parent=card.version))


def successes(controller: Path, best_of: int, file: Path) -> dict[str, float]:
    """Return success by task and scene; a policy with its critic's choice, or without."""
    if not file.is_file():
        plan = EvaluationPlan(str(controller / POLICY), TASKS, ('deploy',), episodes=TESTS,
                              split='tune', best_of=best_of, films=False)
        file.write_text(json.dumps({
            f'{one.task} {one.seed}': float(one.verdict.terminal is Terminal.SUCCESS)
            for one in outcomes_of(plan)}), encoding='utf-8')
    found: dict[str, float] = json.loads(file.read_text(encoding='utf-8'))
    return found


def within_states(place: Path, states: list[State]) -> dict[str, float]:
    """Return how a critic orders chunks within states."""
    found = asdict(ranking(judged(states, load_critic(place / CRITIC))))
    # Where no state's chunks had different outcomes there is nothing to rank.
    return {key: value for key, value in found.items() if math.isfinite(value)}


def main() -> int:
    """Run the benchmark."""
    torch.set_num_threads(1)
    run = Path(os.environ.get('RUN', 'runs/critic-quick' if quick() else 'runs/critic')).absolute()
    most = max(COUNTS)
    episodes = recorded(run / 'episodes', 0, most)
    unseen = recorded(run / 'unseen', 10_000_000, UNSEEN)
    with Catalogue(run / 'index') as catalogue:
        # Once, not by each critic's process.
        catalogue.add_folder(run, origin='online', processes=0)
    plain = successes(SHIPPED, 1, run / 'plain.json')
    metrics = {'plain': float(np.mean(list(plain.values())))}
    jobs = {str(count): (count, False) for count in COUNTS}
    if SHUFFLED:
        jobs['shuffled'] = (most, True)
    with workers() as pool:
        for future in [pool.submit(train, run / name, episodes[:count], unseen, shuffled=shuffled)
                       for name, (count, shuffled) in jobs.items()
                       if not (run / name / CRITIC).is_dir()]:
            future.result()
    states = branch(BranchPlan(SHIPPED / POLICY, TASKS, states=STATES, chunks=CHUNKS,
                               continuations=CONTINUATIONS, first_seed=TESTS),
                    run / f'states-{CONTINUATIONS}')
    for name in jobs:
        place = run / name
        chosen = successes(place, BEST_OF, place / 'chosen.json')
        apart = [chosen[key] - plain[key] for key in plain]
        low, high = bootstrap_mean(apart)
        errors = json.loads((place / 'errors.json').read_text(encoding='utf-8'))
        metrics |= {f'{key}_{name}': value for key, value in errors.items()}
        metrics |= {f'best_of_8_{name}': float(np.mean(list(chosen.values()))),
                    f'gain_{name}': float(np.mean(apart)), f'gain_low_{name}': low,
                    f'gain_high_{name}': high}
        metrics |= {f'{key}_{name}': value for key, value in within_states(place, states).items()}
        print({key: round(value, 3) for key, value in metrics.items() if key.endswith(name)},
              flush=True)
    return report('critic', metrics, {} if quick() else {f'gain_low_{most}': ('>=', 0.0)})


if __name__ == '__main__':
    sys.exit(main())
