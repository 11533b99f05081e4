# SPDX-License-Identifier: Apache-2.0
"""Jerk-limited blending: an offset to the new command that fades to zero along a quintic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_SAMPLES = np.linspace(0.0, 1.0, 33)[:, None]
_MAX_DURATION = 8.0


@dataclass(frozen=True)
class BlendLimits:
    """Limits of the offset's derivatives, each (D,): rad/s, rad/s^2, rad/s^3."""

    velocity: Array
    acceleration: Array
    jerk: Array


class Blend:
    """The offset o(t) with o(0), o'(0) given, o''(0) = 0, and o = o' = o'' = 0 at the end.

    With s = t / T, p = o(0), w = o'(0) T:
    o(s) = p + w s - (10 p + 6 w) s^3 + (15 p + 8 w) s^4 - (6 p + 3 w) s^5.
    T is the shortest of a geometric series for which the limits hold (beyond what o'(0) itself
    exceeds); for w = 0 the peaks are 1.875 p / T, 5.774 p / T^2 and 60 p / T^3.
    """

    def __init__(self, offset: Array, velocity: Array, limits: BlendLimits) -> None:
        """Plan the blend.

        Args:
            offset: (D,) last position sent minus new target.
            velocity: (D,) velocity sent minus velocity of the new target.
            limits: Limits of the blend.
        """
        self._offset = offset
        self._velocity = velocity
        size = np.abs(offset)
        self.duration = max(
            float(np.max(1.875 * size / limits.velocity)),
            float(np.max(np.sqrt(5.774 * size / limits.acceleration))),
            float(np.max(np.cbrt(60.0 * size / limits.jerk))),
            1e-3,
        )
        while self.duration < _MAX_DURATION and not self._within(limits):
            self.duration *= 1.1

    def _within(self, limits: BlendLimits) -> bool:
        s, duration, p = _SAMPLES, self.duration, self._offset
        w = self._velocity * duration
        c3, c4, c5 = -(10 * p + 6 * w), 15 * p + 8 * w, -(6 * p + 3 * w)
        velocity = (w + 3 * c3 * s**2 + 4 * c4 * s**3 + 5 * c5 * s**4) / duration
        acceleration = (6 * c3 * s + 12 * c4 * s**2 + 20 * c5 * s**3) / duration**2
        jerk = (6 * c3 + 24 * c4 * s + 60 * c5 * s**2) / duration**3
        slack = 1.0 + 1e-6
        return bool(
            np.all(np.abs(velocity) <= slack * np.maximum(limits.velocity, np.abs(self._velocity)))
            and np.all(np.abs(acceleration) <= slack * limits.acceleration)
            and np.all(np.abs(jerk) <= slack * limits.jerk))

    def at(self, time: float) -> Array:
        """Return the offset, (D,), at a time since the start, s; zero from the end on."""
        if time >= self.duration:
            return np.zeros_like(self._offset)
        s, p, w = time / self.duration, self._offset, self._velocity * self.duration
        return (p + w * s - (10 * p + 6 * w) * s**3 + (15 * p + 8 * w) * s**4
                - (6 * p + 3 * w) * s**5)
