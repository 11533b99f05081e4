# SPDX-License-Identifier: Apache-2.0
"""Meta-World's side: simulates what it is asked for over standard input and output.

It runs with the Python of an environment that has Meta-World, and imports nothing of this project.
A request and an answer are a line of JSON each.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.policies import ENV_POLICY_MAP

_OBJECT, _GOAL = slice(4, 7), slice(36, 39)
"""Of an observation."""


class Worker:
    """Tasks that were asked for, each simulated once it is."""

    def __init__(self) -> None:
        """Know none yet."""
        self._environments: dict[str, Any] = {}
        self._task = ''
        self._seen = np.zeros(39)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what a request says."""
        if request['do'] == 'reset':
            return self._reset(request['task'], request['seed'])
        if request['do'] == 'play':
            return self._play(request['targets'])
        return self._demonstrate(request['task'], request['seed'], request['steps'],
                                 request['flaws'])

    def _reset(self, task: str, seed: int) -> dict[str, Any]:
        if task not in self._environments:
            if task not in ALL_V3_ENVIRONMENTS:
                raise SystemExit(f'Meta-World has no task {task!r}')
            made = ALL_V3_ENVIRONMENTS[task]()
            # Goals are hidden, and resets always the same ones, unless it is told otherwise.
            for name, value in (('_partially_observable', False), ('_freeze_rand_vec', False),
                                ('_set_task_called', True), ('seeded_rand_vec', True)):
                setattr(made, name, value)
            del made.sawyer_observation_space  # it was kept for hidden goals
            self._environments[task] = made
        self._task = task
        self._environment.seed(seed)
        self._seen = np.asarray(self._environment.reset()[0], dtype=np.float64)
        return {'observation': self._seen.tolist()}

    @property
    def _environment(self) -> Any:
        return self._environments[self._task]

    def _target(self) -> Any:
        """Where the hand is told to be, m."""
        return self._environment.data.mocap_pos[0].copy()

    def _step(self, action: Any) -> bool:
        """Make a step; returns whether it succeeded."""
        seen, _, _, _, info = self._environment.step(np.clip(action, -1.0, 1.0))
        self._seen = np.asarray(seen, dtype=np.float64)
        return bool(info['success'] > 0.5)

    def _play(self, targets: list[list[float]]) -> dict[str, Any]:
        """Bring the hand to targets (m, m, m, effort of the gripper), a step each."""
        found = _Steps()
        for target in np.asarray(targets, dtype=np.float64):
            way = (target[:3] - self._target()) / self._environment.action_scale
            action = np.clip([*way, target[3]], -1.0, 1.0)
            success = self._step(action)
            found.add(self._seen, self._target(), action, success)
            if success:
                break
        return found.answer()

    def _demonstrate(
        self, task: str, seed: int, steps: int, flaws: dict[str, Any],
    ) -> dict[str, Any]:
        """Let Meta-World's script act, on what it sees with flaws."""
        first, script, found = self._reset(task, seed), ENV_POLICY_MAP[task](), _Steps()
        for number in range(steps):
            mistaken = self._seen.copy()
            mistaken[_OBJECT] += flaws['object']
            mistaken[_GOAL] += flaws['goal']
            action = np.clip(script.get_action(mistaken), -1.0, 1.0)
            action[:3] *= flaws['speed']
            if flaws['opens_at'] <= number < flaws['opens_at'] + flaws['opens_for']:
                action[3] = -1.0
            success = self._step(action)
            found.add(self._seen, self._target(), action, success)
            if success:
                break
        return {**first, **found.answer()}


class _Steps:
    """What came of steps."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Any]] = {'observations': [], 'targets': [], 'efforts': []}
        self._success = False

    def add(self, seen: Any, target: Any, action: Any, success: bool) -> None:
        self._rows['observations'].append(seen.tolist())
        self._rows['targets'].append(target.tolist())
        self._rows['efforts'].append(float(action[3]))
        self._success = success

    def answer(self) -> dict[str, Any]:
        return {**self._rows, 'success': self._success}


def main() -> None:
    """Answer until nobody asks any more."""
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    worker = Worker()
    for line in sys.stdin:
        answers.write(json.dumps({'answer': worker.answer(json.loads(line))}) + '\n')
        answers.flush()


if __name__ == '__main__':
    main()
