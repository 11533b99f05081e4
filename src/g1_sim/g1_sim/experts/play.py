# SPDX-License-Identifier: Apache-2.0
"""Play: an operator who handles whatever lies around, to no end."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from g1_sim.experts.grasp import DOWN, UP
from g1_sim.experts.skills import Expert, Script, facing
from g1_sim.postures import inward


def play(seed: int) -> Callable[[Expert], Script]:
    """Return a script that plays until the episode ends; the seed decides what it does."""

    def script(expert: Expert) -> Script:
        rng = np.random.default_rng([seed, 5])
        names = sorted(expert.world.bodies)
        while True:
            side = int(rng.integers(2))
            if names and rng.uniform() < 0.7:
                yield from _handle(expert, side, names[int(rng.integers(len(names)))], rng)
            else:
                yield from _wave(expert, side, rng)

    return script


def _handle(expert: Expert, side: int, name: str, rng: np.random.Generator) -> Script:
    """Reach for a thing, close, lift, carry it a little, let go."""
    base = expert.world.body_position(name)
    sign = 1.0 if side == 0 else -1.0
    if sign * base[1] < 0.0 or base[2] < 0.5:
        yield from _wave(expert, side, rng)
        return
    rotation = facing(inward(base[0], base[1], side), DOWN)
    grasp = base + 0.06 * UP + rng.normal(0.0, 0.01, 3)
    yield from expert.grip(side, 0.0)
    yield from expert.swing(side, grasp - 0.11 * rotation[:, 2] + 0.10 * UP, rotation)
    yield from expert.move(side, grasp, rotation, speed=0.25, exact=False)
    yield from expert.grip(side, 1.0)
    carry = grasp + np.array([*rng.uniform(-0.05, 0.05, 2), rng.uniform(0.02, 0.08)])
    yield from expert.move(side, carry, rotation, yaw_weight=0.2, speed=0.2, exact=False)
    yield from expert.grip(side, 0.0)
    yield from expert.rest(side)


def _wave(expert: Expert, side: int, rng: np.random.Generator) -> Script:
    """Move a hand about near its rest posture, and its gripper."""
    expert.kinematics.place(np.concatenate([expert.posture, expert.world.scene.posture[16:]]))
    position, rotation = expert.kinematics.pose(side)
    yield from expert.swing(side, position + rng.uniform(-0.06, 0.06, 3), rotation, yaw_weight=0.2)
    yield from expert.grip(side, float(rng.integers(2)))
    yield from expert.wait(int(rng.integers(5, 20)))
