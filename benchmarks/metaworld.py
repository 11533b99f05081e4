# SPDX-License-Identifier: Apache-2.0
"""The learner, unchanged, on a public benchmark: three tasks of Meta-World, offline, then online.

    python -m venv metaworld-venv                            # an environment of its own
    metaworld-venv/bin/pip install metaworld==3.1.1 packaging
    METAWORLD_PYTHON=metaworld-venv/bin/python make bench NAME=metaworld

Each task has a policy of its own, which sees the state: its data are 150 episodes of Meta-World's
script, which mistakes where things are, so that about half fail (`meta/episodes.py`). Then five
rounds of 50 episodes of its own. Methods, budgets and tests are those of `lwd bench table`
(docs/results.md), without an operator: SFT, SFT trained equally long, LWD offline and online,
expectile offline, filtered BC on LWD's online data and on its own, and LWD with a critic of
shuffled outcomes as the negative control; all at full and at halved noise of the flow.

What was interrupted goes on. Environment: TASKS, SEEDS (2), NOISES (1,0.5) and METHODS choose what
is done now, the rest can follow; TESTS (200) is part of the protocol; RUN (runs/metaworld),
PROCESSES. Without METAWORLD_PYTHON nothing is measured; the line says so.
"""

from __future__ import annotations

import os
import sys
import tempfile
from concurrent.futures import as_completed
from pathlib import Path

import numpy as np

from benchmarks.harness import quick, report
from benchmarks.meta.cells import MetaProtocol, Unit, make_pool, run, scores
from lwd_learner.algorithms.lwd import LwdConfig
from lwd_learner.engine import EngineConfig
from lwd_learner.optimise import OptimiserConfig
from lwd_learner.trainer import TrainerConfig
from lwd_learner.training import TrainConfig
from lwd_learner.value_learning import ValueConfig
from lwd_policy.config import PolicyConfig
from lwd_policy.critic import CriticConfig
from lwd_rollout.statistics import crossed_bootstrap
from lwd_rollout.table.methods import chosen
from lwd_rollout.table.protocol import Budget, Online, Trials
from lwd_rollout.workers import workers

_METHODS = ('sft', 'sft_long', 'lwd_offline', 'expectile_offline', 'shuffled', 'lwd_online',
            'filtered_same', 'filtered_self')
_WHOLE = {'TASKS': 'pick-place-v3,shelf-place-v3,peg-insert-side-v3', 'SEEDS': '2',
          'TESTS': '200', 'NOISES': '1,0.5', 'METHODS': ','.join(_METHODS)}
_QUICK = {'TASKS': 'pick-place-v3', 'SEEDS': '1', 'TESTS': '2', 'NOISES': '1',
          'METHODS': 'sft,sft_long,lwd_offline,lwd_online,filtered_same'}
SETTING = {name: os.environ.get(name, value)
           for name, value in (_QUICK if quick() else _WHOLE).items()}
TASKS = SETTING['TASKS'].split(',')
NOISES = tuple(float(word) for word in SETTING['NOISES'].split(','))
METHODS = tuple(method.name for method in chosen(SETTING['METHODS'].split(',')))
SEEDS, TESTS = int(SETTING['SEEDS']), int(SETTING['TESTS'])
POOL = 6 if quick() else 150
"""Episodes of the script."""
BASELINES = ('sft', 'sft_long', 'filtered_same', 'filtered_self')
_HORIZON = 8
"""Steps of a chunk: an episode has 12 to 25 of them."""
_LIMITS = {'lwd_online_over_filtered_same_noise1_low': ('>=', 0.0)}


def protocol(task: str) -> MetaProtocol:
    """Return what is fixed beforehand for a task."""
    budget = Budget(*[2] * 6) if quick() else Budget(
        reference=4000, critic=2500, actor=500)
    return MetaProtocol(
        name='metaworld', tasks=(task,), methods=_METHODS, budget=budget,
        online=Online(rounds=2 if quick() else 5, episodes=2 if quick() else 50),
        testing=Trials(episodes=TESTS, distribution=''),
        train=TrainConfig(
            policy=PolicyConfig(horizon=_HORIZON, coefficients=_HORIZON),
            # Its kinematics are not the G1's: the critic sees the hand's path as it is commanded.
            lwd=LwdConfig(value=ValueConfig(critic=CriticConfig(encoding='plain')),
                          actor_optimiser=OptimiserConfig(rate=3e-4, decay_to=0.3)),
            trainer=TrainerConfig(tensorboard=False, checkpoint_every=1000,
                                  freeze_backbone_online=False),
            engine=EngineConfig(device='cpu', precision='bf16', threads=1)))


def measured(folder: Path, python: str) -> int:
    """Run what is not there yet, and report all."""
    processes = int(os.environ.get('PROCESSES', '0'))
    metrics: dict[str, float] = {}
    units = [Unit(folder / task, protocol(task), METHODS, NOISES, seed, python)
             for seed in range(SEEDS) for task in TASKS]
    with workers(processes) as pool:
        pools = {pool.submit(make_pool, folder / task, task, POOL, python): task
                 for task in TASKS}
        for future in as_completed(pools):
            metrics[f'pool_{pools[future]}'] = future.result()
        for trained in as_completed([pool.submit(run, unit) for unit in units]):
            trained.result()
    for noise in NOISES:
        found = {name: np.array([[
            scores(unit, name, noise) for unit in units if unit.task == task]
            for task in TASKS]) for name in METHODS}
        for name, values in found.items():
            metrics[f'{name}_noise{noise:g}'] = float(values.mean())
            for number, task in enumerate(TASKS):
                metrics[f'{name}_noise{noise:g}_{task}'] = float(values[number].mean())
            for other in BASELINES:
                if other in found and other != name:
                    apart = values - found[other]
                    low, high = crossed_bootstrap(apart)
                    key = f'{name}_over_{other}_noise{noise:g}'
                    metrics |= {key: float(apart.mean()), f'{key}_low': low, f'{key}_high': high}
    bars = {name: bar for name, bar in _LIMITS.items() if name in metrics and not quick()}
    return report('metaworld', metrics, bars)


def main() -> int:
    """Run the benchmark."""
    python = os.environ.get('METAWORLD_PYTHON', '')
    if not python:
        return report('metaworld', {}, _LIMITS, unmeasured=dict.fromkeys(
            _LIMITS, 'METAWORLD_PYTHON names no Python with Meta-World'))
    if quick() and 'RUN' not in os.environ:
        with tempfile.TemporaryDirectory() as folder:
            return measured(Path(folder), python)
    return measured(Path(os.environ.get('RUN', 'runs/metaworld')).absolute(), python)


if __name__ == '__main__':
    sys.exit(main())
