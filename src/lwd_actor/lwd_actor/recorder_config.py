# SPDX-License-Identifier: Apache-2.0
"""Parameters of the recorder node."""

from __future__ import annotations

from dataclasses import dataclass, field

from g1_description.cameras import CAMERA_NAMES
from lwd_actor.episode_feed import EpisodeRules
from lwd_actor.session import SessionConfig
from lwd_ros.errors import alternatives


@dataclass(frozen=True)
class RecorderConfig:
    """Parameters of the episode manager and recorder."""

    robot: str = 'g1_01'
    """The robot's name: of its folder in the spool, and in its topics as recorded."""
    spool: str = ''
    """Folder for episodes: <spool>/<robot>/<episode>/; empty: ~/.ros/lwd/spool."""
    cameras: tuple[str, ...] = CAMERA_NAMES
    """Whose images are recorded."""
    lockstep: bool = False
    """Whether the driver runs in lockstep: it then waits for the recorder, which waits for the
    disk."""
    segment_seconds: float = field(default=10.0, metadata={'range': (0.5, 3600.0)})
    """Length of a segment, s of the robot's time."""
    queue_mb: int = field(default=64, metadata={'range': (1, 65536)})
    """What may wait for a slow disk, MB; more is dropped and counted."""
    min_free_gb: float = field(default=2.0, metadata={'range': (0.0, 1e6)})
    """With less free on the disk the episode ends, and none is started, GB."""
    start_button: int = field(default=-1, metadata={'range': (-1, 63)})
    """Button of `joy` that starts an episode; -1 for none. Which one ends it with a label says
    the pad's file of teleoperation."""
    auto: bool = False
    """Record episode after episode by itself, as session says."""
    rules: EpisodeRules = field(default_factory=EpisodeRules)
    session: SessionConfig = field(default_factory=SessionConfig)

    def __post_init__(self) -> None:
        for name in self.cameras:
            if name not in CAMERA_NAMES:
                raise ValueError(
                    f'cameras: unknown camera {name!r}{alternatives(name, CAMERA_NAMES)}')
