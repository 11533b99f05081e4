# SPDX-License-Identifier: Apache-2.0
"""Parameters of the driver node."""

from __future__ import annotations

from dataclasses import dataclass, field

from g1_description.cameras import CAMERA_NAMES
from g1_driver.safety.config import SafetyConfig
from g1_driver.sdk_robot import SdkConfig
from g1_driver.sim_robot import SimConfig

LOCKSTEP, REAL_TIME = 'lockstep', 'real_time'


@dataclass(frozen=True)
class CameraConfig:
    """The images that the driver publishes, recorded and learned from as they are."""

    names: tuple[str, ...] = CAMERA_NAMES
    """Cameras to publish, of head, left_wrist, right_wrist; empty for none."""
    width: int = field(default=128, metadata={'range': (16, 1280)})
    """Pixels; the native image is cropped to this aspect around its centre, then resized."""
    height: int = field(default=128, metadata={'range': (16, 1280)})
    """Pixels."""
    jpeg_quality: int = field(default=90, metadata={'range': (1, 100)})
    """Of the published JPEG."""


@dataclass(frozen=True)
class DriverConfig:
    """Everything about one robot's driver."""

    robot: str = 'g1_01'
    """The robot's name, as in its namespace; goes into diagnostics."""
    backend: str = field(default='sim', metadata={'choices': ('sim', 'sdk')})
    """sim: MuJoCo. sdk: the real robot, through a2d_sdk."""
    mode: str = field(default=REAL_TIME, metadata={'choices': (REAL_TIME, LOCKSTEP)})
    """real_time: 30 ticks a second. lockstep (sim only): a tick waits for its command."""
    lockstep_timeout: float = field(default=8.0, metadata={'range': (0.01, 60.0)})
    """How long a tick in lockstep waits for its command, s of wall time: on a busy machine an
    expert takes seconds to build the scene after a reset, and a tick without it is another
    episode."""
    autostart: bool = True
    """Configure and activate without being told to, as soon as the robot answers."""
    state_folder: str = ''
    """Where a real robot's driver notes that it runs; empty: ~/.ros/lwd."""
    cameras: CameraConfig = field(default_factory=CameraConfig)
    safety: SafetyConfig = field(default_factory=SafetyConfig)
    sim: SimConfig = field(default_factory=SimConfig)
    sdk: SdkConfig = field(default_factory=SdkConfig)

    def __post_init__(self) -> None:
        if self.backend == 'sdk' and self.mode == LOCKSTEP:
            raise ValueError('mode is lockstep, but backend sdk is a real robot: use real_time')
