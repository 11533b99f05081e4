# SPDX-License-Identifier: Apache-2.0
"""Meta-World's arm in the terms of this project: joints, commands, scene features.

The learner knows a robot of 16 commanded joints. Here the first three of them are where the hand
is told to be, and the eighth, a gripper, is the gripper; the others never move. A chunk of
commands is then a path of the hand, as relative to the command before it as on the G1, and the
critic sees it so (`critic.encoding=plain`): kinematics of the G1 would mean nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from g1_description.joints import GRIPPER_INDICES
from lwd_data.scene_layout import SCENE_1

Array = NDArray[np.float64]
_CENTRE, _SCALE = np.array([0.0, 0.65, 0.2]), 4.0
"""Of the table, m; "radians" a metre, so that all of it is within the joints' limits."""
_HAND, _GRIPPER, _FRAME = slice(0, 3), 3, 18
_OBJECTS = (slice(4, 11), slice(11, 18))
_GOAL = slice(36, 39)
_COLOURS = np.eye(3)
"""Tell the objects and the goal apart."""
RATE = 30.0


def commands(targets: Array, efforts: Array) -> Array:
    """Return commands, (n, 16), of targets of the hand, (n, 3) m, and efforts, (n,) -1 .. 1."""
    found = np.zeros((len(targets), 16))
    found[:, :3] = (targets - _CENTRE) * _SCALE
    found[:, GRIPPER_INDICES[0]] = (np.clip(efforts, -1.0, 1.0) + 1.0) / 2.0
    return found


def targets(chunk: Array) -> Array:
    """Return targets of the hand and efforts, (n, 4), of commands, (n, 16)."""
    return np.column_stack([
        chunk[:, :3] / _SCALE + _CENTRE, 2.0 * chunk[:, GRIPPER_INDICES[0]] - 1.0])


def states(observations: Array) -> Array:
    """Return measured joints, (n, 20), of observations, (n, 39)."""
    found = np.zeros((len(observations), 20))
    found[:, :3] = (observations[:, _HAND] - _CENTRE) * _SCALE
    # Meta-World says how far it is open.
    found[:, GRIPPER_INDICES[0]] = 1.0 - np.clip(observations[:, _GRIPPER], 0.0, 1.0)
    return found


def scenes(observations: Array) -> NDArray[np.float32]:
    """Return scene features of layout scene-1, (n, F), of observations, (n, 39)."""
    found = np.zeros((len(observations), SCENE_1.size), dtype=np.float32)
    hands, bodies = SCENE_1.start('hands'), SCENE_1.start('bodies')
    found[:, hands:hands + 3] = observations[:, _HAND]
    size = next(group.size for group in SCENE_1.groups if group.name == 'bodies')
    for number, place in enumerate(_OBJECTS):
        now = observations[:, place]
        before = observations[:, _FRAME + place.start:_FRAME + place.stop]
        there = np.any(now != 0.0, axis=1)
        token = found[:, bodies + number * size:bodies + (number + 1) * size]
        token[:, 0] = there
        token[:, 1:4] = now[:, :3]
        token[:, 4:10] = _columns(now[:, 3:])
        token[:, 10:13] = (now[:, :3] - before[:, :3]) * RATE
        token[:, 16:19] = _COLOURS[number]
        token[~there] = 0.0
    token = found[:, bodies + len(_OBJECTS) * size:bodies + (len(_OBJECTS) + 1) * size]
    token[:, 0] = 1.0
    token[:, 1:4] = observations[:, _GOAL]
    token[:, 16:19] = _COLOURS[len(_OBJECTS)]
    return found


def _columns(quaternions: Array) -> Array:
    """Return the first two columns of rotations, (n, 6), of quaternions (n, 4)."""
    norm = np.linalg.norm(quaternions, axis=1, keepdims=True)
    w, x, y, z = np.where(norm > 0.0, quaternions / np.maximum(norm, 1e-9),
                          [1.0, 0.0, 0.0, 0.0]).T
    return np.column_stack([
        1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y),
        2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)])
