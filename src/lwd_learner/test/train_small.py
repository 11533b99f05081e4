# SPDX-License-Identifier: Apache-2.0
"""Trains small networks in one of several processes; started by `torchrun` in a test."""

import sys
from dataclasses import replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
from small import CONFIG, Replay  # noqa: E402

from lwd_learner.engine import Engine  # noqa: E402
from lwd_learner.sharding import full_state  # noqa: E402
from lwd_learner.trainer import Trainer  # noqa: E402
from lwd_learner.training import make_algorithm  # noqa: E402

torch.set_num_threads(1)
name, parallel, folder = sys.argv[1:4]
config = replace(CONFIG, algorithm=name, engine=replace(CONFIG.engine, parallel=parallel))
engine = Engine(config.engine)
algorithm = make_algorithm(config, engine)
replay = Replay(rank=engine.rank, world_size=engine.world_size)
trainer = Trainer(algorithm, engine, config.trainer, Path(folder))
trainer.run(replay, 'offline')
trainer.close()
weights = full_state(algorithm.policy)
if engine.leads:
    torch.save(weights, Path(folder) / 'policy.pt')
engine.close()
