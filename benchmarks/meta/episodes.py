# SPDX-License-Identifier: Apache-2.0
"""Episodes of Meta-World, as bags: of its script, which makes mistakes, and of policies."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.meta import robot
from benchmarks.meta.simulator import Simulator, Steps
from g1_description.joints import COMMAND_JOINTS
from lwd_data.exchange.episode import write
from lwd_data.exchange.mapping import DataMapping
from lwd_data.exchange.recording import Recording
from lwd_data.scene_layout import SCENE_1
from lwd_msgs.msg import ControlStep
from lwd_policy.observation import single
from lwd_policy.runtime import ChunkSampler

Array = NDArray[np.float64]
STEPS = 250
"""An episode's time limit."""
MISTAKES = {'pick-place-v3': 0.012, 'shelf-place-v3': 0.007, 'peg-insert-side-v3': 0.006}
"""How far a script mistakes the object's place, m, standard deviation: about half succeed."""
SPEEDS = {'pick-place-v3': (0.4, 0.7), 'shelf-place-v3': (0.85, 1.0),
          'peg-insert-side-v3': (0.8, 1.0)}
"""Shares of its speed that a script moves at. The scripts wait for no motion to end: at .7 that of
shelf-place never succeeds, however well it sees."""
_NAMES = {'pick-place-v3': 'pick up the puck and bring it to the goal',
          'shelf-place-v3': 'put the box on the shelf',
          'peg-insert-side-v3': 'put the peg into the hole'}
_MAPPING = DataMapping('lerobot', {}, {}, {}, name='metaworld')


@dataclass(frozen=True)
class Episode:
    """T steps."""

    task: str
    seed: int
    seen: Array
    """(T, 39) before each."""
    commands: Array
    """(T, 16) as they were carried out."""
    success: bool
    version: str = ''
    """Of the policy; empty for a script."""
    chunk: NDArray[np.int64] | None = None
    """(T,) the number of the policy's chunk, from 1."""

    def row(self) -> dict[str, Any]:
        """Return what came of it as plain data."""
        return {'task': self.task, 'seed': self.seed, 'success': self.success,
                'steps': len(self.commands)}

    def write(self, folder: Path) -> None:
        """Record it; the folder is there once it is whole."""
        count = len(self.commands)
        source = ControlStep.SOURCE_POLICY if self.version else ControlStep.SOURCE_EXPERT
        part = folder.parent / 'part' / folder.name
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        part.parent.mkdir(parents=True, exist_ok=True)
        write(Recording(
            where=f'{self.task} {self.seed}', name=folder.name, task=self.task,
            instruction=instruction(self.task), label='success' if self.success else 'timeout',
            time_s=np.arange(count) / robot.RATE, state=robot.states(self.seen),
            command=self.commands, source=np.full(count, source, np.uint8),
            version=[self.version] * count, chunk_id=self.chunk,
            scene=robot.scenes(self.seen), scene_layout=SCENE_1.name,
            custom={'seed': str(self.seed), 'robot': 'sawyer', 'features': SCENE_1.name}),
            part, _MAPPING)
        part.rename(folder)


def instruction(task: str) -> str:
    """Return what a policy is told."""
    return _NAMES.get(task, task)


def demonstrate(simulator: Simulator, task: str, seed: int) -> Episode:
    """Run an episode of the script, which is sure of itself and, as a rule, wrong.

    It mistakes where things are by the same way all through an episode, moves at a speed of its
    own, and sometimes lets go for a while: mistakes that are systematic, not noise.
    """
    rng = np.random.default_rng([seed, 17])
    size = MISTAKES.get(task, 0.01)
    flaws = {'object': (size * rng.normal(size=3)).tolist(),
             'goal': (size * rng.normal(size=3)).tolist(),
             'speed': float(rng.uniform(*SPEEDS.get(task, (0.8, 1.0)))),
             'opens_at': 0, 'opens_for': 0}
    if rng.random() < 0.1:
        flaws |= {'opens_at': int(rng.integers(40, 120)), 'opens_for': 15}
    first, steps = simulator.demonstrate(task, seed, STEPS, flaws)
    return Episode(task, seed, _before(first, [steps]), _carried_out([steps]), steps.success)


def drive(
    simulator: Simulator, task: str, seed: int, sampler: ChunkSampler, version: str,
) -> Episode:
    """Run an episode of a policy, chunk by chunk."""
    first = seen = simulator.reset(task, seed)
    done: list[Steps] = []
    chunk: list[int] = []
    # As on the G1: at the first step what was sent before is where the robot is.
    sent = robot.states(seen[None])[0, :len(COMMAND_JOINTS)]
    left = STEPS
    while left and not (done and done[-1].success):
        observation = single(robot.states(seen[None])[0], sent, instruction(task),
                             scene=robot.scenes(seen[None])[0])
        commands = sampler.commands(observation)[0][:left]
        done.append(simulator.play(robot.targets(commands)))
        taken = len(done[-1].efforts)
        chunk += [len(done)] * taken
        left -= taken
        seen = done[-1].observations[-1]
        sent = _carried_out(done[-1:])[-1]
    return Episode(task, seed, _before(first, done), _carried_out(done), done[-1].success,
                   version, np.array(chunk))


def _before(first: Array, done: list[Steps]) -> Array:
    """Return what was seen before each step, (T, 39)."""
    after = np.concatenate([each.observations for each in done])
    return np.concatenate([first[None], after[:-1]])


def _carried_out(done: list[Steps]) -> Array:
    """Return the commands of steps, (T, 16), as far as they could be carried out."""
    return np.concatenate([robot.commands(each.targets, each.efforts) for each in done])
