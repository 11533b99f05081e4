# SPDX-License-Identifier: Apache-2.0
"""What the driver says of itself on /diagnostics."""

from __future__ import annotations

from collections import Counter, deque

import numpy as np

from g1_driver.commands import Clip, Executed, Hold, State, clip_name
from g1_driver.loop_thread import LoopThread
from lwd_ros.diagnostics import ERROR, OK, WARN, Health

_WINDOW = 300


class Monitor:
    """Counts what happens; written by the loop's thread, read by the node's."""

    def __init__(self, robot: str, *, boxes: int = 0) -> None:
        """Count for a robot; `boxes` is how many keep-out boxes are configured."""
        self.robot = robot
        self.boxes = boxes
        self.refused = ''
        """Why the robot could not be configured; empty if it could."""
        self.commanders = 0
        """Publishers of joint_command."""
        self.clips: Counter[str] = Counter()
        self.holds: Counter[str] = Counter()
        self.images: Counter[str] = Counter()
        self._stamps: deque[int] = deque(maxlen=_WINDOW)
        self._last: Executed | None = None

    def tick(self, stamp_ns: int) -> None:
        """Count a tick."""
        self._stamps.append(stamp_ns)

    def image(self, camera: str) -> None:
        """Count an image."""
        self.images[camera] += 1

    def executed(self, executed: Executed) -> None:
        """Count what the safety filter did."""
        self._last = executed
        if executed.hold is not Hold.NONE:
            self.holds[executed.hold.name.lower()] += 1
        for clip in Clip:
            if np.any(executed.clips & clip):
                self.clips[clip_name(clip)] += 1

    def health(self, thread: LoopThread | None) -> Health:
        """Return the node's health now."""
        if thread is None:
            if self.refused:
                return Health(ERROR, f'not connected: {self.refused}')
            return Health(WARN, 'not configured')
        loop = thread.loop
        values: dict[str, object] = {
            'ticks': loop.tick + 1,
            'late ticks': loop.overruns,
            'ticks without their own command': thread.missed,
            'joint_command publishers': self.commanders,
            **{f'clipped by {name}': count for name, count in sorted(self.clips.items())},
            **{f'held for {name}': count for name, count in sorted(self.holds.items())},
            **{f'images of {name}': count for name, count in sorted(self.images.items())},
        }
        stamps = list(self._stamps)
        if len(stamps) > 1:
            periods = np.diff(stamps) / 1e6
            values['tick period p50 (ms)'] = round(float(np.percentile(periods, 50)), 2)
            values['tick period p99 (ms)'] = round(float(np.percentile(periods, 99)), 2)
        units = getattr(loop.robot, 'units', None)
        assumed = '; '.join(units.assumed) if units is not None else ''
        if assumed:
            values['assumed'] = assumed
        if not thread.alive:
            return Health(ERROR, 'the control loop has ended; restart the driver', values)
        if not thread.active:
            return Health(OK, 'configured, not active', values)
        unguarded = not loop.robot.simulated and not self.boxes
        if unguarded:
            assumed = '; '.join(filter(None, (
                assumed, 'no table is known: set safety.keep_out')))
        return Health(*self._verdict(assumed), values)

    def _verdict(self, assumed: str) -> tuple[bytes, str]:
        last = self._last
        if last is None:
            return OK, 'active, no tick yet'
        if last.state is State.ESTOP:
            return ERROR, last.detail
        if last.hold is Hold.FAULT:
            return ERROR, last.detail
        if self.commanders > 1:
            return WARN, (f'{self.commanders} publishers on joint_command: only the arbiter may '
                          'send commands; stop the others')
        if last.state is State.HOLD:
            return WARN, f'holding: {last.detail}'
        if assumed:
            return WARN, f'driving; {assumed}'
        return OK, 'homing' if last.state is State.HOMING else 'driving'
