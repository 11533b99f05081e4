# SPDX-License-Identifier: Apache-2.0
"""Sees that an open hand is about to knock something over: where its fingertips are heading."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from g1_description.joints import GRIPPER_INDICES
from g1_description.links import LINKS, finger_direction
from g1_sim.world import World

Array = NDArray[np.float64]

_OPEN = 0.2
"""Position of a gripper, 0 open to 1 shut, up to which a hand comes to take something."""
_SLOW = 0.04
"""Speed below which a hand only corrects itself, m/s."""
_AHEAD, _FAR = 0.6, 0.08
"""How far ahead a motion is followed, s and m: nobody knows what a hand will do after that."""
_SURE = 3
"""Control steps for which it must look like that."""
_OUTER, _SIDE, _TIP = 0.0225, 0.0115, 0.229
"""A finger's outer edge, half width and foremost point in its link, m: as in g1_description. At
its foremost point a finger is thinner, 9 mm: what is between is the margin that people keep."""


@dataclass
class _Finger:
    body: int
    side: int
    corners: Array
    """Where rays begin, (4, 3) m, in the link."""


class Foresight:
    """Follows fingertips of open hands along their motion, as somebody who watches does.

    An item that is to be grasped passes between the fingers; one that a fingertip runs into falls
    over. Call `looks_bad` once a control step.
    """

    def __init__(self, world: World) -> None:
        """Watch the hands of a world."""
        self._world = world
        self._loose = set(world.bodies.values())
        self._fingers = [
            _Finger(world.model.body(link.name).id, 0 if '_l_' in link.name else 1,
                    np.array([(x * finger_direction(link), y, _TIP)
                              for x in (0.0, _OUTER) for y in (-_SIDE, _SIDE)]))
            for link in LINKS if link.kind == 'finger']
        self._before: tuple[float, Array] | None = None
        self._for = 0

    def forget(self) -> None:
        """Begin anew: somebody else is in control now."""
        self._before, self._for = None, 0

    def looks_bad(self) -> bool:
        """Whether a finger of an open hand has been heading for a loose thing for a moment."""
        data = self._world.data
        tips = np.array([
            data.xpos[finger.body] + data.xmat[finger.body].reshape(3, 3) @ finger.corners[0]
            for finger in self._fingers])
        before, self._before = self._before, (self._world.time, tips)
        if before is None or self._world.time <= before[0]:
            return False
        closures = self._world.positions()[GRIPPER_INDICES]
        velocities = (tips - before[1]) / (self._world.time - before[0])
        bad = any(closures[finger.side] < _OPEN and self._runs_into(finger, velocity)
                  for finger, velocity in zip(self._fingers, velocities))
        self._for = self._for + 1 if bad else 0
        return self._for >= _SURE

    def _runs_into(self, finger: _Finger, velocity: Array) -> bool:
        speed = float(np.linalg.norm(velocity))
        if speed < _SLOW:
            return False
        model, data = self._world.model, self._world.data
        rotation = data.xmat[finger.body].reshape(3, 3)
        for corner in finger.corners:
            hit = np.array([-1], dtype=np.int32)
            away = mujoco.mj_ray(
                model, data, data.xpos[finger.body] + rotation @ corner, velocity / speed,
                None, 1, finger.body, hit)
            if (0.0 <= away <= min(_FAR, speed * _AHEAD)
                    and int(model.geom_bodyid[hit[0]]) in self._loose):
                return True
        return False
