# SPDX-License-Identifier: Apache-2.0
"""Shapes for distances in closed form: clouds of spheres against rounded boxes.

A rounded box is a box grown by a radius: a box has radius 0, a capsule is a box without width and
depth, a sphere one without any size. The distance of a sphere to it has a closed form, exact and
fast over arrays, which convex-convex solvers are not near contact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_SPACING = 0.02
_CELL = 0.045
_EDGE = 0.012


@dataclass(frozen=True)
class Cloud:
    """Spheres that stand for geoms, fixed to their bodies."""

    body: NDArray[np.intp]
    """(N,) body of each sphere."""
    offset: Array
    """(N, 3) centre in the body's frame, m."""
    radius: Array
    """(N,) m."""
    geom: NDArray[np.intp]
    """(N,) which geom it stands for."""

    def centres(self, data: mujoco.MjData, chosen: NDArray[np.bool_]) -> Array:
        """Return the centres of chosen spheres now, (n, 3), base_link."""
        body = self.body[chosen]
        turned = data.xmat[body].reshape(-1, 3, 3)
        centres: Array = data.xpos[body] + np.einsum('nij,nj->ni', turned, self.offset[chosen])
        return centres


@dataclass(frozen=True)
class RoundedBoxes:
    """Geoms as boxes grown by a radius."""

    geom: NDArray[np.intp]
    """(K,)."""
    half: Array
    """(K, 3) half sizes, m."""
    radius: Array
    """(K,) m."""

    def distances(self, data: mujoco.MjData, points: Array) -> Array:
        """Return the distance of points, (N, 3), to each box: (N, K), m; negative inside."""
        turned = data.geom_xmat[self.geom].reshape(-1, 3, 3)
        # All rotations side by side: one product instead of one a box.
        side_by_side = turned.transpose(1, 0, 2).reshape(3, -1)
        origins = np.einsum('ki,kij->kj', data.geom_xpos[self.geom], turned)
        local = (points @ side_by_side).reshape(len(points), -1, 3) - origins
        local = np.abs(local) - self.half
        outside = np.maximum(local, 0.0)
        inside = np.minimum(local.max(axis=2), 0.0)
        distances: Array = np.sqrt((outside * outside).sum(axis=2)) + inside - self.radius
        return distances


def rounded_boxes(model: mujoco.MjModel, geoms: list[int]) -> RoundedBoxes:
    """Return geoms (boxes, capsules, spheres) as rounded boxes."""
    half, radius = np.zeros((len(geoms), 3)), np.zeros(len(geoms))
    for k, geom in enumerate(geoms):
        size, kind = model.geom_size[geom], model.geom_type[geom]
        if kind == mujoco.mjtGeom.mjGEOM_BOX:
            half[k] = size
        else:
            radius[k] = size[0]
            half[k, 2] = size[1] if kind == mujoco.mjtGeom.mjGEOM_CAPSULE else 0.0
    return RoundedBoxes(np.array(geoms, dtype=np.intp), half, radius)


def cloud(model: mujoco.MjModel, geoms: list[int], kind: Literal['cover', 'edges']) -> Cloud:
    """Return spheres for geoms.

    Args:
        model: The model.
        geoms: Boxes, capsules and spheres.
        kind: cover: the spheres enclose the geom, up to 12 mm larger than a box. edges: of a box
            its corners and points along its edges, which is exact against a plane.
    """
    parts = [_spheres(model, geom, kind) for geom in geoms]
    counts = [len(radius) for _, radius in parts]
    owner = np.repeat(np.array(geoms, dtype=np.intp), counts)
    return Cloud(
        np.array(model.geom_bodyid[owner], dtype=np.intp),
        np.vstack([offsets for offsets, _ in parts]),
        np.concatenate([radius for _, radius in parts]), owner)


def _spheres(model: mujoco.MjModel, geom: int, kind: str) -> tuple[Array, Array]:
    size = model.geom_size[geom]
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_BOX:
        points, radius = _cells(size) if kind == 'cover' else (_edge_points(size), 0.0)
    else:
        points, radius = _chain(size[0], float(size[1]) if model.geom_type[geom] ==
                                mujoco.mjtGeom.mjGEOM_CAPSULE else 0.0)
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, model.geom_quat[geom])
    offsets: Array = model.geom_pos[geom] + points @ matrix.reshape(3, 3).T
    return offsets, np.full(len(points), radius)


def _chain(radius: float, half: float) -> tuple[Array, float]:
    """Return spheres along a capsule's axis that enclose it."""
    count = max(2, int(np.ceil(2.0 * half / _SPACING)) + 1) if half > 0.0 else 1
    along = np.linspace(-half, half, count)
    gap = along[1] - along[0] if count > 1 else 0.0
    return np.column_stack([np.zeros((count, 2)), along]), float(np.hypot(radius, gap / 2.0))


def _cells(half: Array) -> tuple[Array, float]:
    """Return spheres around the cells of a box cut into pieces."""
    shortest = max(2.0 * float(half.min()), _CELL / 3.0)
    counts = np.maximum(1, np.ceil(2.0 * half / max(shortest, _CELL / 2.0)).astype(int))
    axes = [(np.arange(n) + 0.5) / n * 2.0 * h - h for n, h in zip(counts, half)]
    points = np.stack(np.meshgrid(*axes, indexing='ij'), axis=-1).reshape(-1, 3)
    return points, float(np.linalg.norm(half / counts))


def _edge_points(half: Array) -> Array:
    """Return a box's corners and points along its edges."""
    found = []
    for axis in range(3):
        count = max(2, int(np.ceil(2.0 * half[axis] / _EDGE)) + 1)
        for signs in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
            edge = np.empty((count, 3))
            edge[:, axis] = np.linspace(-half[axis], half[axis], count)
            for other, sign in zip([i for i in range(3) if i != axis], signs):
                edge[:, other] = sign * half[other]
            found.append(edge)
    return np.unique(np.vstack(found).round(9), axis=0)
