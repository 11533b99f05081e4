# SPDX-License-Identifier: Apache-2.0
"""Trains small networks in one of several processes; started by `torchrun` in a test."""

import sys
from dataclasses import replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
from small import CONFIG, Replay

from lwd_learner.engine import Engine
from lwd_learner.trainer import Trainer
from lwd_learner.training import make_algorithm

torch.set_num_threads(1)
folder = sys.argv[1]
config = replace(CONFIG, algorithm='lwd')
engine = Engine(config.engine)
algorithm = make_algorithm(config, engine)
replay = Replay(rank=engine.rank, world_size=engine.world_size)
trainer = Trainer(algorithm, engine, config.trainer, Path(folder))
trainer.run(replay, 'offline')
trainer.close()
weights = algorithm.policy.state_dict()
if engine.leads:
    torch.save(weights, Path(folder) / 'policy.pt')
engine.close()
