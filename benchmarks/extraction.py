# SPDX-License-Identifier: Apache-2.0
"""How far an actor follows its critic: what the adjoints ask for, and what the actor makes of it.

Of the cells `lwd_offline` of a comparison that was trained (RUN: runs/offline, as `offline` leaves
it; QUICK=1 without RUN makes a tiny one), asked in STATES (96) windows of episodes that the
critics have not seen, with PATHS (32) paths of the flow in each:

- `asked`: KL, nats, that the adjoints ask for, single paths bounded as in training; `common` is
  the part of it that all paths of a state share. A policy that only shifted its chunks in each
  state by what they have in common would make that much.
- `made`: the KL of the actor from its reference.
- `gain`: by how much the actor's chunks are better than the reference's, by its own critic, in
  standard deviations of Q within a state; `gain_other` by the critic of the next seed, which has
  seen the same episodes but not this actor. Of eight chunks the best by its own critic gains
  `gain_best_of_8`, and `gain_best_of_8_other` by that other one: how far two critics agree.
- `spread`: how far the actor's chunks lie apart in a state, of how far the reference's do: an
  actor that gains only because its noise is smaller has little of it.

RATES=1e-4,1e-3 trains actors anew, of the same critics as they are now, for UPDATES (500) at each
rate, and says the same of them: `made_1e-4` and so on.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.comparison import TINY, compare, layout_of
from benchmarks.harness import quick, report
from lwd_bringup.commands.bench import find_protocol
from lwd_data.replay.catalogue import Catalogue
from lwd_learner import qam
from lwd_learner.algorithms.base import Feed, Windows
from lwd_learner.algorithms.common import TrainedPolicy, observation_of
from lwd_learner.data import Replay
from lwd_learner.engine import Engine
from lwd_learner.extraction import Extractor, draw_chunks
from lwd_learner.temperature import Temperature
from lwd_learner.training import TrainConfig, policy_config
from lwd_policy.critic import Critic, pessimistic
from lwd_policy.flow import Velocity
from lwd_policy.observation import Observation
from lwd_policy.policy import FlowPolicy
from lwd_policy.store import CRITIC, POLICY, load_critic, load_policy
from lwd_rollout.table.layout import Layout, opened
from lwd_rollout.table.methods import METHODS
from lwd_rollout.table.protocol import load
from lwd_rollout.table.settings import of_cell

METHOD = METHODS['lwd_offline']
STATES = int(os.environ.get('STATES', '4' if quick() else '96'))
PATHS = int(os.environ.get('PATHS', '8' if quick() else '32'))
UPDATES = int(os.environ.get('UPDATES', '2' if quick() else '500'))
RATES = [word for word in os.environ.get('RATES', '1e-4' if quick() else '').split(',') if word]
BEST_OF = 8
"""PATHS is a multiple of it."""


@dataclass(frozen=True)
class Cell:
    """A trained cell, and the states that it is asked in."""

    config: TrainConfig
    engine: Engine
    replay: Replay
    reference: FlowPolicy
    actor: FlowPolicy
    critic: Critic
    seen: Observation


def trained_comparison() -> Layout:
    """Return the comparison that is asked about."""
    if quick() and 'RUN' not in os.environ:
        tiny = load(find_protocol('table'), {
            **TINY, 'name': 'extraction', 'methods': [METHOD.name], 'seeds': 2})
        compare(tiny)
        return layout_of(tiny)
    return opened(Path(os.environ.get('RUN', 'runs/offline')).absolute())


def cell_of(layout: Layout, seed: int) -> Cell:
    """Open the cell of a seed."""
    config = of_cell(layout.protocol, METHOD, seed)
    # The cells' policies and critics are read to the processor.
    engine = Engine(replace(config.engine, device='cpu', threads=1))
    with Catalogue(layout.replay) as catalogue:
        replay = Replay(catalogue.snapshot(), policy_config(config), engine, config.lwd.td,
                        seed=seed)
    # A tiny pool has none that are held out.
    windows: Windows = 'held_out' if replay.facts.held_out else 'all'
    batch = replay.sampler(Feed(windows, STATES)).batch(0)
    folder = layout.cell(METHOD.name, seed)
    reference, _, _ = load_policy(layout.cell(METHOD.after, seed) / POLICY)
    actor, _, _ = load_policy(folder / POLICY)
    return Cell(config, engine, replay, reference, actor, load_critic(folder / CRITIC),
                observation_of(batch, batch.observation, engine))


def asked_and_made(cell: Cell, actor: FlowPolicy) -> dict[str, float]:
    """Return what the adjoints along an actor's paths ask for, what of it is common, its KL."""
    settings = cell.config.lwd.qam
    with torch.no_grad():
        contexts = {network: network.context(cell.seen).repeat_interleave(PATHS, dim=0)
                    for network in (actor, cell.reference)}
        state = cell.critic.state(cell.seen).repeated(PATHS)
    generator = cell.engine.generator(0, 0)
    noise = cell.engine.normal((STATES * PATHS, *actor.config.shape), generator)

    def velocity(network: FlowPolicy) -> Velocity:
        return lambda actions, level: network.velocity(contexts[network], actions, level)

    rolled = qam.rollout(
        velocity(actor), velocity(cell.reference),
        lambda actions: pessimistic(cell.critic.qs(state, actions)), noise, 1.0,
        steps=settings.steps, shrink=settings.shrink, form=settings.form, generator=generator)
    temperature = Temperature(settings.temperature)
    temperature.observe_asked(float(rolled.asked.clamp(min=1e-12).log().mean()))
    rolled = rolled.tempered(temperature.value, temperature.largest)
    return {'asked': float(rolled.asked.mean()), 'common': float(_common(rolled).mean()),
            'made': float(rolled.kl.clamp(max=temperature.largest).mean())}


def _common(rolled: qam.Rollout) -> Tensor:
    """Return the KL, (STATES,), that the mean adjoint of each state's paths asks for.

    Half the sum over k of v_k || E g ||^2, without the part that the mean of PATHS independent
    ones would have anyway.
    """
    each = rolled.adjoints[:-1].reshape(rolled.steps - 1, STATES, PATHS, -1)
    product = each.sum(2).square().sum(2) - each.square().sum((2, 3))
    push = torch.tensor(rolled.chain.push)[:-1, None]
    return 0.5 * (push.square() * product).sum(0) / (PATHS * (PATHS - 1))


def gains(cell: Cell, actor: FlowPolicy, other: Critic) -> dict[str, float]:
    """Return by how much an actor's chunks are better than its reference's, by two critics."""
    def drawn(policy: FlowPolicy) -> Tensor:
        with torch.no_grad():
            # From the same noise.
            return draw_chunks(policy, policy.context(cell.seen), PATHS, cell.engine,
                               cell.engine.generator(0, 1))

    before, after = drawn(cell.reference), drawn(actor)
    chosen = cell.critic.rank(cell.seen, before).reshape(STATES, -1, BEST_OF).argmax(
        dim=2, keepdim=True)
    found = {'spread': float((after.var(dim=1).mean() / before.var(dim=1).mean()).sqrt())}
    for end, critic in (('', cell.critic), ('_other', other)):
        q = critic.rank(cell.seen, before)
        mean, spread = q.mean(dim=1), q.std(dim=1).clamp(min=1e-6)
        better = critic.rank(cell.seen, after).mean(dim=1) - mean
        best = q.reshape(STATES, -1, BEST_OF).gather(2, chosen).flatten(1).mean(dim=1) - mean
        found[f'gain{end}'] = float((better / spread).mean())
        found[f'gain_best_of_8{end}'] = float((best / spread).mean())
    return found


def trained(cell: Cell, rate: float) -> FlowPolicy:
    """Train an actor anew, of the critic as it is."""
    lwd, engine = cell.config.lwd, cell.engine
    actor = TrainedPolicy(
        policy_config(cell.config), replace(lwd.actor_optimiser, rate=rate), engine,
        seed=cell.config.seed, ema=lwd.actor_ema, total=UPDATES)
    actor.restart(cell.reference, UPDATES)
    extractor = Extractor(lwd.qam, engine)
    sampler = cell.replay.sampler(Feed('all', lwd.actor_batch_size))
    for update in range(UPDATES):
        batch = sampler.batch(update)
        extractor.update(
            actor.network, actor.trained, cell.reference, cell.critic,
            observation_of(batch, batch.observation, engine), actor.optimiser,
            engine.generator(cell.config.seed, update), f'update {update}')
        actor.average_moves()
    return actor.average


def main() -> int:
    """Run the benchmark."""
    torch.set_num_threads(1)
    layout = trained_comparison()
    cells = [cell_of(layout, seed) for seed in range(layout.seeds)]
    rows: list[dict[str, float]] = []
    for seed, cell in enumerate(cells):
        other = cells[(seed + 1) % len(cells)].critic
        row = asked_and_made(cell, cell.actor) | gains(cell, cell.actor, other)
        for rate in RATES:
            actor = trained(cell, float(rate))
            found = asked_and_made(cell, actor) | gains(cell, actor, other)
            row |= {f'{key}_{rate}': found[key] for key in ('made', 'gain', 'gain_other')}
        print(f'seed {seed}', {key: round(value, 3) for key, value in row.items()}, flush=True)
        rows.append(row)
    metrics = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    return report('extraction', metrics, {})


if __name__ == '__main__':
    sys.exit(main())
