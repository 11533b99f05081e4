# SPDX-License-Identifier: Apache-2.0
"""`lwd train`: offline training on pools of episodes."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from lwd_bringup.commands.shared import Commands, run_folder, settings
from lwd_bringup.errors import BringupError
from lwd_ros.errors import ParameterError
from lwd_ros.parameters import build

if TYPE_CHECKING:
    from lwd_learner.algorithms.base import Algorithm
    from lwd_learner.data import Replay
    from lwd_learner.trainer import GateResult
    from lwd_learner.training import TrainConfig
    from lwd_policy.critic import Critic
    from lwd_policy.policy import FlowPolicy

_CONFIG = 'config.yaml'


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser(
        'train', help='train a policy offline on pools of episodes, or go on with a run')
    command.add_argument('pools', nargs='+', type=Path, metavar='POOL',
                         help='folders of episodes, as `lwd pool make` writes them')
    command.add_argument('--set', nargs='+', default=[], metavar='KEY=VALUE', dest='settings',
                         help='for example algorithm=sft sft.updates=2000; see --settings')
    command.add_argument('--settings', action='store_true', dest='list_settings',
                         help='list all settings with their defaults, and stop')
    command.add_argument('--init', type=Path, metavar='POLICY',
                         help='a policy to start from; for lwd it is the reference')
    command.add_argument('--gate', choices=('sim', 'off'), default='sim',
                         help='how the critic is tried before the actor follows it: in simulation '
                              '(default), or not at all')
    command.add_argument('--name', default='lwd', help='of the policy, for its card')
    command.add_argument('--dir', type=Path,
                         help='of the run (default: runs/train-<time>); one that is there is '
                              'gone on with')
    command.set_defaults(run=_train)


def _train(options: argparse.Namespace, console: Console) -> int:
    from lwd_data.errors import DataError as ReplayError
    from lwd_learner.errors import LearnerError
    from lwd_learner.training import TrainConfig
    from lwd_policy.errors import PolicyError
    from lwd_rollout.errors import RolloutError
    try:
        if options.list_settings:
            _list_settings(console)
            return 0
        config = build(TrainConfig, settings(options.settings), where='--set')
        return _run(options, config, console)
    except (ParameterError, LearnerError, PolicyError, ReplayError, RolloutError) as error:
        raise BringupError(str(error)) from error


def _list_settings(console: Console) -> None:
    from lwd_learner.training import TrainConfig
    from lwd_ros.parameters import leaves
    defaults: Any = TrainConfig()
    for name, _, _, text in leaves(TrainConfig):
        value = defaults
        for part in name.split('.'):
            value = getattr(value, part)
        console.print(f'{name}={value}  [dim]{text}[/dim]', highlight=False, soft_wrap=True)


def _run(options: argparse.Namespace, config: TrainConfig, console: Console) -> int:
    from lwd_data.replay.catalogue import Catalogue
    from lwd_learner.data import Replay
    from lwd_learner.engine import Engine
    from lwd_learner.sharding import whole
    from lwd_learner.trainer import Trainer
    from lwd_learner.training import make_algorithm, policy_config
    from lwd_policy.store import load_policy
    folder = run_folder(options, 'train')
    _claim(folder, options)
    engine = Engine(config.engine)
    with Catalogue(folder / 'replay') as catalogue:
        for pool in options.pools:
            if not pool.is_dir():
                raise BringupError(f'there is no pool {pool}; make one: ./lwd pool make {pool}')
            catalogue.add_folder(pool.absolute(), origin='offline')
        snapshot = catalogue.snapshot()
    replay = Replay(snapshot, policy_config(config), engine, config.lwd.td, seed=config.seed)
    algorithm = make_algorithm(config, engine)
    parent = ''
    if options.init is not None:
        policy, _, card = load_policy(options.init)
        algorithm.start_from(policy.to(engine.device))
        parent = card.version
    with Progress(
        TextColumn('{task.description}'), BarColumn(),
        TextColumn('{task.completed}/{task.total}'), TimeElapsedColumn(), TimeRemainingColumn(),
        console=console, disable=not engine.leads,
    ) as bar:
        shown = bar.add_task('reading', total=None)
        trainer = Trainer(
            algorithm, engine, config.trainer, folder, seed=config.seed,
            gate=_gate(replay.tasks, console) if options.gate == 'sim' else None,
            say=lambda text: console.print(text, highlight=False),
            on_update=lambda at, phase: bar.update(
                shown, description=phase.name, completed=at.update, total=phase.updates))
        try:
            trainer.run(replay, 'offline')
            # Networks that are spread are put together by all processes.
            policy, critic = whole(algorithm.policy), _critic(algorithm)
        finally:
            trainer.close()
            engine.close()
    if engine.leads:
        _save(folder, algorithm, policy, critic, config, options, replay, parent, console)
    return 0


def _critic(algorithm: Algorithm) -> Critic | None:
    """Return an algorithm's critic for use by one process; None if it has none."""
    from lwd_learner.sharding import whole
    critic = getattr(algorithm, 'critic', None)
    return None if critic is None else whole(critic)


def _claim(folder: Path, options: argparse.Namespace) -> None:
    """Write down what a run is of, or make sure that it is the same that is gone on with.

    Raises:
        BringupError: The folder holds a run with other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {'settings': list(options.settings),
              'pools': [str(pool.absolute()) for pool in options.pools],
              'init': str(options.init.absolute()) if options.init else ''}
    file = folder / _CONFIG
    if not file.is_file():
        file.write_text(yaml.safe_dump(wanted), encoding='utf-8')
        return
    known = yaml.safe_load(file.read_text(encoding='utf-8'))
    if known != wanted:
        changed = ', '.join(key for key in wanted if known.get(key) != wanted[key])
        raise BringupError(
            f'{folder} holds a run with other {changed}: go on with the same, or choose another '
            '--dir')


def _gate(tasks: tuple[str, ...], console: Console) -> Any:
    from lwd_learner.sharding import whole
    from lwd_learner.trainer import GateResult
    from lwd_rollout.gate import GatePlan, compare

    def gate(algorithm: Algorithm) -> GateResult:
        critic = _critic(algorithm)
        if critic is None:
            raise BringupError(f'{algorithm.name} has a gated phase but no critic')
        plan = GatePlan(tasks)
        console.print(
            f'gate: the reference on {plan.episodes} scenes of each task, alone and with the best '
            f'of {plan.best_of} chunks by the critic', highlight=False)
        found = compare(whole(algorithm.policy), critic, plan)
        return GateResult(
            found.passed,
            f"{found.plain:.3f} alone, {found.chosen:.3f} with the critic's choice "
            f'(difference, 95 %: {found.low:+.3f} .. {found.high:+.3f})',
            {'gate/plain': found.plain, 'gate/chosen': found.chosen,
             'gate/low': found.low, 'gate/high': found.high})

    return gate


def _save(
    folder: Path, algorithm: Algorithm, policy: FlowPolicy, critic: Critic | None,
    config: TrainConfig, options: argparse.Namespace, replay: Replay, parent: str,
    console: Console,
) -> None:
    from lwd_policy import canary
    from lwd_policy.payload import CANARY_FILE
    from lwd_policy.store import CRITIC, POLICY, card_of, save_critic, save_policy
    command = shlex.join(['lwd', *sys.argv[1:]])
    card = card_of(
        policy.config, algorithm.runtime, name=options.name, algorithm=algorithm.name,
        command=command, seed=config.seed, snapshot=replay.snapshot.id, parent=parent)
    saved = save_policy(folder / POLICY, policy, card)
    batch = replay.sample(canary.COUNT)
    canary.save(folder / POLICY / CANARY_FILE,
                canary.record(batch.observation, batch.instructions))
    if critic is not None:
        save_critic(folder / CRITIC, critic, policy.config, saved)
    console.print(f'policy {saved.version[:12]} in {folder / POLICY}', highlight=False)
