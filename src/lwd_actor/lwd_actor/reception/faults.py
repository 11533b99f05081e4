# SPDX-License-Identifier: Apache-2.0
"""Whether the policy that runs misbehaves: not finite, always clipped by the driver, too slow."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

_INFERENCES = 100


@dataclass(frozen=True)
class FaultConfig:
    """What makes a robot go back to the policy before."""

    clip_rate: float = field(default=0.5, metadata={'range': (0.0, 1.0)})
    """Share of the policy's ticks that the safety filter clips in position, velocity, acceleration
    or distance, above which it is a fault; 1 for never."""
    clip_ticks: int = field(default=300, metadata={'range': (1, 100_000)})
    """Newest ticks of the policy that the share is taken over."""
    latency: float = field(default=0.8, metadata={'range': (0.0, 60.0)})
    """Median wall time of an inference, s, above which it is a fault; 0 for never. A chunk is
    one second long."""
    latency_chunks: int = field(default=20, metadata={'range': (1, 1000)})
    """Newest inferences that the median is taken over."""


class FaultWatch:
    """Looks at what a robot does with one policy after the other."""

    def __init__(self, config: FaultConfig | None = None) -> None:
        """Watch as configured."""
        self.config = config or FaultConfig()
        self.version = ''
        """That runs, as its chunks say; empty before the first."""
        self.starved = 0
        """Ticks in the policy's charge without an action."""
        self._start('')

    def _start(self, version: str) -> None:
        self.version = version
        self._seconds: deque[float] = deque(maxlen=_INFERENCES)
        self._clips: deque[bool] = deque(maxlen=self.config.clip_ticks)
        # Ticks that a command of this version is on its way for.
        self._ticks: deque[int] = deque(maxlen=_INFERENCES)
        self._in_charge = False

    def chunk(self, version: str, seconds: float, *, finite: bool) -> str:
        """Hear of an inference; returns what is wrong with the policy, empty if nothing.

        Args:
            version: Of the policy.
            seconds: Wall time.
            finite: Whether its commands are.
        """
        if version != self.version:
            self._start(version)
        if not finite:
            return 'a chunk of it was not finite'
        self._seconds.append(seconds)
        count, limit = self.config.latency_chunks, self.config.latency
        if limit and len(self._seconds) >= count:
            median = float(np.median(list(self._seconds)[-count:]))
            if median > limit:
                return (f'an inference takes {median:.2f} s (median of {count}); up to '
                        f'{limit:g} s is allowed (faults.latency)')
        return ''

    def step(self, tick: int, version: str, *, empty: bool) -> None:
        """Hear of a control step.

        Args:
            tick: Of the driver.
            version: Of the policy that proposed its command; empty if none did.
            empty: Whether the arbiter had nothing to follow, and holds.
        """
        if version and version == self.version:
            self._ticks.append(tick)
        self.starved += empty and self._in_charge
        self._in_charge = bool(version) or (empty and self._in_charge)

    def executed(self, tick: int, *, clipped: bool) -> str:
        """Hear of an executed command; returns what is wrong with the policy, empty if nothing.

        Args:
            tick: Of the driver.
            clipped: Whether the safety filter held a joint back.
        """
        if tick not in self._ticks:
            return ''
        self._clips.append(clipped)
        if len(self._clips) == self._clips.maxlen:
            rate = sum(self._clips) / len(self._clips)
            if rate > self.config.clip_rate:
                return (f'the safety filter clips {rate:.0%} of its last {len(self._clips)} '
                        f'commands; up to {self.config.clip_rate:.0%} is allowed '
                        '(faults.clip_rate)')
        return ''

    def inference_seconds(self) -> tuple[float, float]:
        """Return the 50th and 99th percentile of the last 100 inferences, s; 0 before any."""
        if not self._seconds:
            return 0.0, 0.0
        p50, p99 = np.percentile(self._seconds, [50, 99])
        return float(p50), float(p99)
