# SPDX-License-Identifier: Apache-2.0
"""Controlled imperfection of a scripted expert: the mistakes that operators and policies make.

Systematic errors rather than white noise: a policy that averages over demonstrations removes
noise, but not a grasp that is always off to one side or a step that is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from g1_sim.errors import SceneError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Flaws:
    """What an expert does wrong in one episode; the default does nothing wrong."""

    grasp_offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Added to where it grasps, m, in the hand's frame: x along the opening, z along the reach."""
    place_offset: tuple[float, float] = (0.0, 0.0)
    """Added to where it puts things down, m, base_link x and y."""
    early_release: float = 0.0
    """Lets go this far above the spot, m."""
    weak_grip: float = 0.0
    """Closes the gripper by this much less than fully, 0 to 1."""
    skip: int = -1
    """Leaves this step of a script with several out (0 is the first); -1 for none."""
    swap: int = -1
    """Does this step and the next one in the wrong order; -1 for none."""
    wrong_item: bool = False
    """Takes another item than the one that is asked for, where there is one."""
    hesitation: float = 0.0
    """Chance a control step to begin a pause of up to a second."""
    slowness: float = 1.0
    """Makes every motion this many times as long."""
    noise: float = 0.0
    """Standard deviation of a slowly wandering error of every arm joint's target, rad."""
    seed: int = 0
    """Of hesitation and noise."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.weak_grip <= 1.0 or not 0.0 <= self.hesitation <= 1.0:
            raise SceneError('flaws: weak_grip and hesitation must be in 0 .. 1, not '
                             f'{self.weak_grip} and {self.hesitation}')
        if self.slowness <= 0.0 or self.noise < 0.0:
            raise SceneError(f'flaws: slowness is {self.slowness} (must be above 0), noise is '
                             f'{self.noise} (must not be below 0)')


def draw(rng: np.random.Generator, severity: float, *, steps: int) -> Flaws:
    """Draw flaws of a kind and size that grow with severity.

    Args:
        rng: Source of randomness.
        severity: 0 for none; 1 makes about half of the episodes of a short task fail.
        steps: Of the script, among which some may be left out or swapped; 2 at least.
    """
    if severity <= 0.0:
        return Flaws()
    seed = int(rng.integers(2**31))
    size = severity * rng.uniform(0.3, 1.0)
    kind = rng.choice(['grasp', 'place', 'release', 'grip', 'skip', 'swap', 'item', 'noise'])
    base = Flaws(
        hesitation=0.01 * size, slowness=1.0 + 0.4 * size * rng.uniform(), seed=seed)
    side, angle = rng.choice([-1.0, 1.0]), rng.uniform(-np.pi, np.pi)
    choices = {
        'grasp': replace(base, grasp_offset=(side * 0.035 * size, 0.0, -0.025 * size)),
        'place': replace(base, place_offset=(
            0.08 * size * float(np.cos(angle)), 0.08 * size * float(np.sin(angle)))),
        'release': replace(base, early_release=0.12 * size),
        'grip': replace(base, weak_grip=min(1.0, 0.6 * size)),
        'skip': replace(base, skip=int(rng.integers(0, steps))),
        'swap': replace(base, swap=int(rng.integers(0, steps - 1))),
        'item': replace(base, wrong_item=True),
        'noise': replace(base, noise=0.05 * size),
    }
    return choices[str(kind)]


@dataclass
class Tremor:
    """Hesitation and wandering error of one episode, drawn step by step."""

    flaws: Flaws
    _rng: np.random.Generator = field(init=False)
    _error: Array = field(init=False)
    _pause: int = 0

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng([self.flaws.seed, 77])
        self._error = np.zeros(14)

    def pauses(self) -> bool:
        """Return whether this control step is spent hesitating."""
        if self._pause > 0:
            self._pause -= 1
            return True
        if self.flaws.hesitation > 0.0 and self._rng.uniform() < self.flaws.hesitation:
            self._pause = int(self._rng.integers(5, 30))
        return False

    def error(self) -> Array:
        """Return the present error of the arm joints, (14,) rad: a stationary random walk."""
        if self.flaws.noise > 0.0:
            keep = 0.95
            kick = self.flaws.noise * np.sqrt(1.0 - keep**2)
            self._error = keep * self._error + kick * self._rng.standard_normal(14)
        return self._error
