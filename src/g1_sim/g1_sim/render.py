# SPDX-License-Identifier: Apache-2.0
"""Camera images of a world, drawn off screen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import TracebackType

import mujoco
import numpy as np
from numpy.typing import NDArray

from g1_description.cameras import camera
from g1_sim.errors import RenderError
from g1_sim.world import World


class CameraRig:
    """Draws the robot's cameras. Use it from one thread; close it before the interpreter ends."""

    def __init__(self, cameras: Sequence[str], *, width: int, height: int) -> None:
        """Set the cameras up.

        Args:
            cameras: Names of cameras of the robot.
            width: Pixels of the images.
            height: Pixels of the images; they show the centre crop of that aspect.

        Raises:
            UnknownNameError: The robot has no such camera.
        """
        self.cameras = tuple(cameras)
        self.width, self.height = width, height
        self._fovy = {name: camera(name).crop_fovy(width, height) for name in self.cameras}
        self._renderer: mujoco.Renderer | None = None
        self._model: mujoco.MjModel | None = None

    def images(self, world: World) -> dict[str, NDArray[np.uint8]]:
        """Return an image (height, width, 3), RGB, of each camera."""
        return {name: self._draw(world, name) for name in self.cameras}

    def view(
        self, world: World, *, azimuth: float = 65.0, elevation: float = -25.0,
    ) -> NDArray[np.uint8]:
        """Return an image (height, width, 3), RGB, from beside the robot."""
        free = mujoco.MjvCamera()
        free.lookat = [0.6, 0.0, 0.9]
        free.distance, free.azimuth, free.elevation = 2.0, azimuth, elevation
        return self._draw(world, free)

    def _draw(self, world: World, view: str | mujoco.MjvCamera) -> NDArray[np.uint8]:
        renderer = self._ready(world.model)
        renderer.update_scene(world.data, view)
        image: NDArray[np.uint8] = renderer.render()
        return image

    def _ready(self, model: mujoco.MjModel) -> mujoco.Renderer:
        if self._renderer is None or self._model is not model:
            self.close()
            for name, fovy in self._fovy.items():
                model.cam_fovy[model.camera(name).id] = math.degrees(fovy)
            model.vis.global_.offwidth = max(model.vis.global_.offwidth, self.width)
            model.vis.global_.offheight = max(model.vis.global_.offheight, self.height)
            try:
                self._renderer = mujoco.Renderer(model, self.height, self.width)
            except Exception as error:
                # The cause depends on the GL platform: each raises types of its own.
                raise RenderError(
                    f'cannot draw camera images: {error}. On a machine without a screen install '
                    'libegl1 libegl-mesa0 libgl1-mesa-dri and set MUJOCO_GL=egl') from error
            self._model = model
        return self._renderer

    def close(self) -> None:
        """Free the graphics context."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
            self._model = None

    def __enter__(self) -> CameraRig:
        """Return the rig."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the rig."""
        self.close()
