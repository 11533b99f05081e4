# SPDX-License-Identifier: Apache-2.0
"""Trains small networks, alone or as one of several processes that `torchrun` started in a test.

    train_small.py SHARDING=FOLDER[:UPDATES] ...

trains in one folder after the other, to the end or only so many updates, and leaves the published
weights in its policy.pt. A folder with a checkpoint is gone on with.
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
from small import CONFIG, Replay

from lwd_learner.engine import Engine
from lwd_learner.sharding import whole
from lwd_learner.trainer import Trainer
from lwd_learner.training import make_algorithm


class _EnoughError(Exception):
    pass


def train(folder, engine, updates=0):
    """Train LWD offline and for an online round; returns the published weights."""
    def stop(progress, phase):
        if progress.step == updates:
            raise _EnoughError

    algorithm = make_algorithm(replace(CONFIG, algorithm='lwd'), engine)
    replay = Replay(rank=engine.rank, world_size=engine.world_size, corrections=50)
    trainer = Trainer(algorithm, engine, CONFIG.trainer, folder, on_update=stop)
    try:
        trainer.run(replay, 'offline')
        trainer.run(replay, 'online')
    except _EnoughError:
        trainer.save()
    trainer.close()
    return whole(algorithm.policy).state_dict()


def main():
    torch.set_num_threads(1)
    for argument in sys.argv[1:]:
        sharding, _, rest = argument.partition('=')
        folder, _, updates = rest.partition(':')
        engine = Engine(replace(CONFIG.engine, sharding=sharding))
        weights = train(Path(folder), engine, int(updates or 0))
        if engine.leads:
            torch.save(weights, Path(folder) / 'policy.pt')
    engine.close()


if __name__ == '__main__':
    main()
