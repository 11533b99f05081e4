# SPDX-License-Identifier: Apache-2.0
"""What a robot shows at one tick, and the tensors that a policy sees of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage

from g1_driver.errors import DriverError
from g1_driver.images import from_jpeg
from g1_driver.mirror import Mirror
from g1_sim.errors import SimError
from g1_sim.features import SceneFeatures
from lwd_actor.errors import ObservationError
from lwd_actor.proposal import Seen
from lwd_msgs.msg import SimState
from lwd_policy.observation import Observation, single

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sight:
    """All of one tick: nothing in it is older or newer than the tick says."""

    tick: int
    stamp_ns: int
    reset_count: int
    seen: Seen
    """The stamps."""
    state: Array
    """(20,) measured joints: rad, m; grippers 0 .. 1."""
    sent: Array
    """(16,) the command executed in the tick before; measured joints at the first."""
    instruction: str
    scene_seed: int = -1
    """Of a simulated scene; -1 without."""
    images: Mapping[str, bytes] = field(default_factory=dict)
    """By camera: a serialised sensor_msgs/CompressedImage."""
    sim_state: bytes | None = None
    """A serialised lwd_msgs/SimState."""


class Eyes:
    """Decodes images and rebuilds simulated scenes. Used from one thread."""

    def __init__(self) -> None:
        """Begin before the first look."""
        self._mirror = Mirror()
        self._features: SceneFeatures | None = None

    def look(self, sight: Sight) -> Observation:
        """Return the tensors of a sight: those that replay returns for the same step.

        Raises:
            ObservationError: An image is no image, or a scene cannot be rebuilt.
        """
        return single(sight.state, sight.sent, sight.instruction, scene=self._scene(sight),
                      images={name: self._image(name, raw) for name, raw in sight.images.items()})

    @staticmethod
    def _image(camera: str, raw: bytes) -> NDArray[np.uint8]:
        message = deserialize_message(raw, CompressedImage)
        try:
            return from_jpeg(bytes(message.data))
        except DriverError as error:
            raise ObservationError(
                f'the image on {camera}/image_raw/compressed cannot be decoded: {error}'
            ) from error

    def _scene(self, sight: Sight) -> NDArray[np.float32] | None:
        if sight.sim_state is None:
            return None
        try:
            new = self._mirror.follow(deserialize_message(sight.sim_state, SimState))
            if new or self._features is None:
                self._features = SceneFeatures(self._mirror.world)
        except SimError as error:
            raise ObservationError(f'the scene of sim_state cannot be rebuilt: {error}') from error
        return self._features.values()
