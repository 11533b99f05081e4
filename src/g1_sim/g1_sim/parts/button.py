# SPDX-License-Identifier: Apache-2.0
"""A spring-loaded push button on a console."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from g1_description.mjcf import ROBOT_CONTYPE
from g1_sim.scene import Rgba, add_fixture

Array = NDArray[np.float64]

BUTTON_TRAVEL = 0.018
"""How far the button can be pushed in, m."""
_RADIUS, _HALF = 0.020, 0.012
_STIFFNESS, _DAMPING = 250.0, 4.0


def add_button(
    spec: mujoco.MjSpec, name: str, base: Array, height: float,
    rgba: Rgba,
) -> None:
    """Add a console with a button on top, which only the robot touches.

    Args:
        spec: The model.
        name: Of the button's body and slide joint, which is negative when pushed in.
        base: Where the console stands, (3,) m, base_link.
        height: Of the top of the button over the base, m.
        rgba: Colour of the button.
    """
    half = (height - BUTTON_TRAVEL - 0.004) / 2.0
    add_fixture(spec, name + '/console', (base[0], base[1], base[2] + half),
                (0.026, 0.026, half), (0.30, 0.31, 0.33, 1.0))
    body = spec.worldbody.add_body(name=name, pos=(base[0], base[1], base[2] + height))
    body.add_joint(
        name=name, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=(0, 0, 1), limited=True,
        range=(-BUTTON_TRAVEL, 0.0), stiffness=_STIFFNESS, damping=_DAMPING,
        springref=0.004)
    body.add_geom(
        name=name, type=mujoco.mjtGeom.mjGEOM_CYLINDER, pos=(0, 0, -_HALF),
        size=(_RADIUS, _HALF, 0), mass=0.05, rgba=rgba, contype=0,
        conaffinity=ROBOT_CONTYPE, friction=(0.8, 0.005, 0.0001))
