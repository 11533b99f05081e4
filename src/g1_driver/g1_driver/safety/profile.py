# SPDX-License-Identifier: Apache-2.0
"""Discrete motion within limits of position, velocity and acceleration.

Everything is in steps a tick: a step x is a joint's displacement in one tick, and acceleration
bounds the change of the step, |x_k - x_{k-1}| <= u with u = a dt^2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ROUNDING = 1e-12


def longest_step(distance: Array, u: Array) -> Array:
    """Return the longest step from which one can still stop within a distance.

    Braking from a step x takes n = floor(x / u) further steps x - u, x - 2u, ..., so that the
    whole displacement is S(x) = (n + 1) x - u n (n + 1) / 2. This is the exact inverse of S.

    Args:
        distance: (D,) room ahead; negative counts as none.
        u: (D,) acceleration limit times dt squared.
    """
    room = np.maximum(distance, 0.0)
    n = np.floor((np.sqrt(1.0 + 8.0 * room / u) - 1.0) / 2.0)
    return (room + u * n * (n + 1.0) / 2.0) / (n + 1.0)


def braking_distance(step: Array, u: Array) -> Array:
    """Return how far one still goes under full braking after a step, (D,), without the step."""
    size = np.abs(step)
    n = np.floor(size / u)
    return n * size - u * n * (n + 1.0) / 2.0


def brake(step: Array, u: Array) -> Array:
    """Return the step that follows under full braking, (D,)."""
    return np.sign(step) * np.maximum(np.abs(step) - u, 0.0)


@dataclass(frozen=True)
class StepLimits:
    """Limits in steps a tick, each (D,)."""

    lower: Array
    upper: Array
    velocity: Array
    """Longest step: v dt."""
    acceleration: Array
    """Largest change of the step: a dt^2."""


@dataclass(frozen=True)
class Tracked:
    """The next step towards a target, and which limits shortened it, each (D,)."""

    step: Array
    position_clipped: NDArray[np.bool_]
    velocity_clipped: NDArray[np.bool_]
    acceleration_clipped: NDArray[np.bool_]


def track(
    position: Array, step: Array, target: Array, target_step: Array, limits: StepLimits,
) -> Tracked:
    """Follow a moving target without overshoot and within the limits.

    A target that itself keeps the limits is met exactly, tick by tick: the wanted step is the
    target's own step plus the longest one that can still stop at the remaining error. From a state
    that can stop before a position limit every next state can, by construction of longest_step.

    Args:
        position: (D,) last position sent, within the position limits.
        step: (D,) last step sent.
        target: (D,) wanted position, within the position limits.
        target_step: (D,) the target's own displacement in this tick.
        limits: The limits.
    """
    u = limits.acceleration
    error = target - target_step - position
    wanted = target_step + np.sign(error) * longest_step(np.abs(error), u)
    allowed = np.clip(wanted, -limits.velocity, limits.velocity)
    velocity_clipped = np.abs(wanted - allowed) > ROUNDING
    up = longest_step(limits.upper - position, u)
    down = longest_step(position - limits.lower, u)
    bounded = np.minimum(np.maximum(allowed, -down), up)
    reached = np.minimum(np.maximum(bounded, step - u), step + u)
    return Tracked(
        reached,
        np.abs(bounded - allowed) > ROUNDING,
        velocity_clipped,
        np.abs(reached - bounded) > ROUNDING)
