# SPDX-License-Identifier: Apache-2.0
"""Things that a hand can hold: shapes, sizes, colours, and how they are added to a scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import mujoco
import numpy as np

from g1_sim.scene import Rgba, graspable

Kind = Literal['can', 'bottle', 'carton']
Look = tuple[Kind, str]
Span = tuple[float, float]
KINDS: tuple[Kind, ...] = ('can', 'bottle', 'carton')

COLOURS: dict[str, Rgba] = {
    'red': (0.80, 0.10, 0.10, 1.0),
    'green': (0.10, 0.55, 0.20, 1.0),
    'blue': (0.10, 0.25, 0.75, 1.0),
    'yellow': (0.90, 0.75, 0.10, 1.0),
    'white': (0.92, 0.92, 0.90, 1.0),
    'purple': (0.45, 0.15, 0.60, 1.0),
}


@dataclass(frozen=True)
class Item:
    """A thing with an upright pose: its body's origin is the centre of its base."""

    name: str
    """Name of its body in the model."""
    kind: Kind
    colour: str
    radius: float
    """Half its width across, m: the radius of a can, half the side of a carton."""
    height: float
    """m."""
    mass: float
    """kg."""
    friction: float = 0.8

    @property
    def label(self) -> str:
        """How an instruction names it."""
        return f'{self.colour} {self.kind}'

    @property
    def grasp_height(self) -> float:
        """Where a hand holds it, m above its base."""
        return min(0.55 * self.height, 0.075)

    @property
    def round(self) -> bool:
        """Whether it can be grasped from any side."""
        return self.kind != 'carton'


@dataclass(frozen=True)
class ItemSpan:
    """What the size, m, weight, kg, and friction of items are drawn from."""

    radius: Span
    height: Span
    friction: Span
    mass: Span = (0.15, 0.35)

    def draw(self, rng: np.random.Generator, name: str, look: Look) -> Item:
        """Draw an item of a kind and colour."""
        kind, colour = look
        return Item(
            name=name, kind=kind, colour=colour, radius=rng.uniform(*self.radius),
            height=rng.uniform(*self.height), mass=rng.uniform(*self.mass),
            friction=rng.uniform(*self.friction))


def draw_looks(
    rng: np.random.Generator, count: int, *, kinds: Sequence[Kind] = KINDS,
    but: Sequence[Look] = (),
) -> list[Look]:
    """Draw kinds and colours that all differ, from each other and from some that are taken."""
    looks: list[Look] = [(kind, colour) for kind in kinds for colour in COLOURS]
    free = [look for look in looks if look not in but]
    return [free[int(i)] for i in rng.choice(len(free), size=count, replace=False)]


def grasp_yaw(item: Item, yaw: float, wanted: float) -> float:
    """Return the yaw, rad, at which a hand meets an item squarely.

    Args:
        item: The item.
        yaw: Its own yaw, rad.
        wanted: Yaw at which the hand reaches it best, rad.
    """
    if item.round:
        return wanted
    quarter = np.pi / 2
    return yaw + quarter * round((wanted - yaw) / quarter)


def add_item(spec: mujoco.MjSpec, item: Item) -> None:
    """Add an item as a free body."""
    body = spec.worldbody.add_body(name=item.name)
    body.add_freejoint(name=item.name)
    rgba = COLOURS[item.colour]
    half = item.height / 2.0
    cylinder, box = mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_BOX
    touch = graspable(item.friction)
    if item.kind == 'carton':
        body.add_geom(name=item.name, type=box, pos=(0, 0, half), mass=item.mass, rgba=rgba,
                      size=(item.radius, item.radius, half), **touch)
        return
    straight = half if item.kind == 'can' else 0.36 * item.height
    body.add_geom(name=item.name, type=cylinder, pos=(0, 0, straight), mass=item.mass, rgba=rgba,
                  size=(item.radius, straight, 0), **touch)
    if item.kind == 'bottle':
        neck = half - straight
        body.add_geom(name=item.name + '/neck', type=cylinder, pos=(0, 0, 2 * straight + neck),
                      size=(0.4 * item.radius, neck, 0), mass=0.05 * item.mass,
                      rgba=(0.95, 0.95, 0.95, 1), **touch)
