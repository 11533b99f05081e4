# SPDX-License-Identifier: Apache-2.0
"""A simulated robot's world, rebuilt in another process from sim_state, bit for bit."""

from __future__ import annotations

import mujoco
import numpy as np

from g1_sim import tasks
from g1_sim.errors import SimError
from g1_sim.scene import DISTRIBUTIONS
from g1_sim.tasks.base import Terminal, Verdict
from g1_sim.world import World
from lwd_msgs.msg import SimState


class Mirror:
    """Follows the driver's world and what its judge says."""

    def __init__(self) -> None:
        """Begin before the first state."""
        self._scene: tuple[str, str, int, int] | None = None
        self._tick = -1
        self.world: World
        """As it is at the newest tick; there after the first `follow`."""
        self._memory = np.zeros(0)
        self._verdict = Verdict(Terminal.NONE, 0.0, ())

    def follow(self, message: SimState) -> bool:
        """Load a state; returns whether a new scene, and so a new episode, began with it.

        Raises:
            SimError: It is of another version of MuJoCo, or of a scene that there is not.
        """
        scene = (message.task, message.distribution, message.seed, message.reset_count)
        # A tick that goes back is one of a driver that was started anew.
        new = self._scene is None or scene != self._scene or message.tick < self._tick
        if new:
            self._build(message)
        self.world.restore(np.asarray(message.state))
        self._scene, self._tick = scene, message.tick
        judge = np.asarray(message.judge)
        if new:
            self._verdict = Verdict(Terminal.NONE, 0.0, (0.0,) * len(self._subtasks))
        else:
            # The driver's judge has judged this world already; from what it remembered before
            # that, its verdict comes out again.
            self._judge.recall(self._memory)
            self._verdict = self._judge.update()
        self._memory = judge
        return new

    @property
    def verdict(self) -> Verdict:
        """What the judge said after the last control step."""
        return self._verdict

    def _build(self, message: SimState) -> None:
        if message.mujoco_version != mujoco.__version__:
            raise SimError(
                f'the driver simulates with MuJoCo {message.mujoco_version}, this node has '
                f'{mujoco.__version__}; install the same version on both')
        if message.distribution not in DISTRIBUTIONS:
            raise SimError(f'sim_state names the distribution {message.distribution!r}')
        task = tasks.get(message.task)
        self.world = World(task.scene(message.seed, message.distribution))
        self._judge, self._subtasks = task.judge(self.world), task.subtasks
