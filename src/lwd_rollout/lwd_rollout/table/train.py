# SPDX-License-Identifier: Apache-2.0
"""Trains one cell: a method with a seed. A killed one goes on to the same numbers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from lwd_data.replay.catalogue import Catalogue
from lwd_learner import metrics
from lwd_learner.algorithms.base import Algorithm
from lwd_learner.algorithms.recap import Recap
from lwd_learner.data import Replay
from lwd_learner.engine import Engine
from lwd_learner.trainer import Trainer
from lwd_learner.training import TrainConfig, make_algorithm, policy_config
from lwd_policy.store import CRITIC, POLICY, card_of, load_policy, save_critic, save_policy
from lwd_rollout.table.diagnostics import code_digest, condition_effect, diagnostics
from lwd_rollout.table.estimate import Spent
from lwd_rollout.table.layout import TRAINED, Layout
from lwd_rollout.table.methods import METHODS, Method
from lwd_rollout.table.rounds import Rounds
from lwd_rollout.table.settings import of_cell


def train(
    layout: Layout, name: str, seed: int, *, say: Callable[[str], None] = lambda _: None,
    on_update: Callable[[], None] = lambda: None,
    deployed: Callable[[Layout, Method, int], Rounds] = Rounds,
) -> Spent:
    """Train a cell, or do nothing if it is there.

    Args:
        layout: Of the comparison; what the method begins from is trained already.
        name: Of the method.
        seed: Of the cell.
        say: Takes what the trainer has to say.
        on_update: Called after every update; may raise to stop.
        deployed: Makes its online stage: where its episodes come from.

    Returns:
        Work done in this call, and the seconds that it took.

    Raises:
        DivergedError: A loss is not finite.
        TableError: The cell is of another protocol.
    """
    method, folder = METHODS[name], layout.cell(name, seed)
    if layout.read(folder / TRAINED) is not None:
        return {}
    config = of_cell(layout.protocol, method, seed)
    engine = Engine(config.engine)
    algorithm = make_algorithm(config, engine)
    rounds = deployed(layout, method, seed) if method.stage == 'online' else None
    if rounds is not None:
        rounds.adopt_checkpoint()
    if method.after and (rounds is None or not rounds.continues):
        algorithm.start_from(load_policy(layout.cell(method.after, seed) / POLICY)[0])
    # No gate: whether the critic ranks chunks is among the questions here, and every method is
    # to have all its updates.
    trainer = Trainer(algorithm, engine, config.trainer, folder, seed=seed, say=say,
                      on_update=lambda *_: on_update())
    spent: Spent = {}
    try:
        if rounds is None:
            replay = _offline(layout, config, engine, trainer, spent, method)
        else:
            replay = rounds.run(trainer, config, engine, spent)
    finally:
        trainer.close()
    _save(layout, method, config, algorithm, replay, {
        'updates': trainer.progress.step,
        'rounds': [] if rounds is None else rounds.summary()})
    engine.close()
    return spent


def _offline(
    layout: Layout, config: TrainConfig, engine: Engine, trainer: Trainer, spent: Spent,
    method: Method,
) -> Replay:
    with Catalogue(layout.replay) as catalogue:
        snapshot = catalogue.snapshot()
    replay = Replay(snapshot, policy_config(config), engine, config.lwd.td, seed=config.seed)
    before, began = trainer.progress.step, time.monotonic()
    trainer.run(replay, 'offline')
    spent[f'updates {method.algorithm} offline'] = [
        trainer.progress.step - before, time.monotonic() - began]
    return replay


def _save(
    layout: Layout, method: Method, config: TrainConfig, algorithm: Algorithm, replay: Replay,
    found: dict[str, Any],
) -> None:
    """Write policy and critic, then the note that the cell is trained."""
    folder = layout.cell(method.name, config.seed)
    card = card_of(
        algorithm.policy.config, algorithm.runtime, name=method.name, seed=config.seed,
        algorithm=algorithm.name, command=f'bench {layout.protocol.name}',
        snapshot=replay.snapshot.id)
    saved = save_policy(folder / POLICY, algorithm.policy, card)
    critic = getattr(algorithm, 'critic', None)
    if method.has_critic and critic is not None:
        save_critic(folder / CRITIC, critic, algorithm.policy.config, saved)
    content = {
        'method': method.name, 'seed': config.seed, 'snapshot': replay.snapshot.id,
        'version': saved.version, 'code': code_digest(),
        'diagnostics': diagnostics(metrics.read(folder / metrics.FILE)), **found}
    if isinstance(algorithm, Recap):
        content['condition'] = condition_effect(
            algorithm.policy, replay.sample(256), config.seed)
    layout.write(folder / TRAINED, content)
