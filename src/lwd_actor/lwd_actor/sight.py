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
from lwd_actor.errors import ObservationError
from lwd_actor.policies.base import Needs
from lwd_actor.proposal import Seen
from lwd_msgs.msg import SceneFeatures
from lwd_policy.errors import LayoutError
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
    scene: bytes | None = None
    """A serialised lwd_msgs/SceneFeatures, of a simulated scene."""


def look(sight: Sight, needs: Needs) -> Observation:
    """Return the tensors of a sight: those that replay returns for the same step.

    Args:
        sight: What there is to see.
        needs: Of the policy that will see it.

    Raises:
        ObservationError: An image is no image.
        LayoutError: The scene's features are of another layout than the policy's.
    """
    return single(
        sight.state, sight.sent, sight.instruction, scene=_scene(sight, needs.scene),
        images={name: _image(name, raw) for name, raw in sight.images.items()})


def _image(camera: str, raw: bytes) -> NDArray[np.uint8]:
    message = deserialize_message(raw, CompressedImage)
    try:
        return from_jpeg(bytes(message.data))
    except DriverError as error:
        raise ObservationError(
            f'the image on {camera}/image_raw/compressed cannot be decoded: {error}') from error


def _scene(sight: Sight, layout: str) -> NDArray[np.float32] | None:
    if sight.scene is None:
        return None
    message = deserialize_message(sight.scene, SceneFeatures)
    if message.layout != layout:
        raise LayoutError(
            f'scene_features is of layout {message.layout!r}; the policy sees {layout!r}')
    return np.asarray(message.values, dtype=np.float32)
