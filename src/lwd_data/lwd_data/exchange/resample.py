# SPDX-License-Identifier: Apache-2.0
"""Brings a recording to the rate of control, 30 Hz. What has that rate already is left as it is.

Joints are interpolated; images, who was in control and the like are those of the last frame; a
reward goes to the first tick at or after its frame.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwd_data.errors import ExchangeError
from lwd_data.exchange.recording import Array, Recording

RATE = 30
"""Control ticks a second."""
_JITTER = 0.5
"""Of a period: how much earlier or later a frame may come at the rate of control."""
_DRIFT = 0.01
# Stamps in float32 seconds, as LeRobot's, are good to about so much.
_SAME = 1e-3

Int = NDArray[np.int64]


def resample(recording: Recording, *, max_gap: float) -> tuple[Recording, Int]:
    """Return a recording at the rate of control.

    Args:
        recording: T frames.
        max_gap: Longest time between two frames, s.

    Returns:
        The recording at K ticks, and (K,) the frame whose images each of them sees.

    Raises:
        ExchangeError: Stamps do not rise, or there is a gap.
    """
    time = recording.time_s
    count = len(time)
    check_time(recording, max_gap if recording.tick is None else np.inf)
    if recording.tick is not None or is_regular(time):
        return recording, np.arange(count)
    ticks = int(np.floor((time[-1] - time[0]) * RATE + _SAME)) + 1
    grid = time[0] + np.arange(ticks) / RATE
    row = np.searchsorted(time, grid + _SAME, side='right') - 1

    def last(values: Any) -> Any:
        return None if values is None else np.asarray(values)[row]

    reward, terminal = _events(recording, grid)
    return replace(
        recording, time_s=grid, state=_interpolated(time, recording.state, grid),
        command=_interpolated(time, recording.command, grid), source=last(recording.source),
        version=None if recording.version is None else [recording.version[at] for at in row],
        chunk_id=last(recording.chunk_id), driver_state=last(recording.driver_state),
        scene=last(recording.scene),
        reward=reward, terminal=terminal), row


def check_time(recording: Recording, max_gap: float) -> None:
    """Refuse stamps that do not rise, or that are too far apart.

    Raises:
        ExchangeError: They do not, or are.
    """
    time, where = recording.time_s, recording.where
    if not len(time):
        raise ExchangeError(f'{where} has no frames; leave the episode out')
    bad = np.flatnonzero(~np.isfinite(time))
    if len(bad):
        raise ExchangeError(f'{where}: the stamp of frame {bad[0]} is {time[bad[0]]}')
    steps = np.diff(time)
    falls = np.flatnonzero(steps <= 0.0)
    if len(falls):
        at = int(falls[0])
        raise ExchangeError(
            f'{where}: stamps must rise, but frame {at + 1} is at {time[at + 1] - time[0]:.4f} s '
            f'and frame {at} before it at {time[at] - time[0]:.4f} s; leave the episode out, or '
            'take `rate` instead of stamps')
    gaps = np.flatnonzero(steps > max_gap)
    if len(gaps):
        at = int(gaps[0])
        raise ExchangeError(
            f'{where}: {steps[at]:.3f} s between frames {at} and {at + 1}, more than max_gap '
            f'({max_gap:g} s); raise it in the mapping, or leave the episode out')


def is_regular(time: Array) -> bool:
    """Return whether stamps, s, come at the rate of control, give or take some jitter."""
    if len(time) < 2:
        return True
    steps = np.diff(time) * RATE
    mean = (time[-1] - time[0]) * RATE / (len(time) - 1)
    return bool(np.all(np.abs(steps - 1.0) < _JITTER) and abs(mean - 1.0) < _DRIFT)


def _interpolated(time: Array, values: Array, grid: Array) -> Array:
    return np.stack([np.interp(grid, time, column) for column in values.T], axis=1)


def _events(recording: Recording, grid: Array) -> tuple[Array | None, NDArray[np.uint8] | None]:
    reward, terminal = recording.reward, recording.terminal
    at = np.minimum(
        np.searchsorted(grid, recording.time_s - _SAME, side='left'), len(grid) - 1)
    new_reward = new_terminal = None
    if reward is not None:
        new_reward = np.zeros(len(grid))
        np.add.at(new_reward, at, reward)
    if terminal is not None:
        new_terminal = np.zeros(len(grid), np.uint8)
        found = np.flatnonzero(terminal)
        new_terminal[at[found[:1]]] = terminal[found[:1]]
    return new_reward, new_terminal
