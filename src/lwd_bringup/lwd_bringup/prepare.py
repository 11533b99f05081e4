# SPDX-License-Identifier: Apache-2.0
"""What has to be there before the nodes of a configuration start."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lwd_bringup import fleet_config, learner_config
from lwd_bringup.config import Machine
from lwd_bringup.errors import BringupError
from lwd_bringup.fleet_config import FleetBringup, robots
from lwd_bringup.learner_config import LearnerBringup
from lwd_bringup.robot_config import Bringup
from lwd_data.errors import DataError
from lwd_policy.errors import PolicyError


def prepare(config: Machine) -> None:
    """Make keys, folders and the catalogue's first entries where they are missing.

    Raises:
        BringupError: Something is missing or damaged; the message says what.
    """
    _check_display(config)
    try:
        if isinstance(config, FleetBringup):
            fleet_config.prepare(config)
        elif isinstance(config, LearnerBringup):
            learner_config.prepare(config)
    except (DataError, PolicyError) as error:
        raise BringupError(str(error)) from error


def own_folders(config: Machine) -> list[Path]:
    """Return the folders that no other run may work in meanwhile, whatever its domain."""
    if isinstance(config, FleetBringup):
        return [Path(config.folder)]
    return [Path(config.run)] if isinstance(config, LearnerBringup) else []


def lack_of_room(config: Machine) -> str:
    """Return why recorders would not begin an episode on this disk; empty if they would."""
    if isinstance(config, LearnerBringup):
        return ''
    robot = robots(config)[0] if isinstance(config, FleetBringup) else config
    if not robot.record:
        return ''
    spool, wanted = Path(robot.recorder.spool), robot.recorder.min_free_gb
    place = next(each for each in (spool, *spool.parents) if each.exists())
    free = shutil.disk_usage(place).free / 1e9
    if free >= wanted:
        return ''
    return (f'{free:.2f} GB are free on the disk of {place}, and recorders begin no episode below '
            f'{wanted:g} GB (recorder.min_free_gb): make room there')


def _check_display(config: Machine) -> None:
    robot = config.robot if isinstance(config, FleetBringup) else config
    if isinstance(robot, Bringup) and robot.rviz and not (
            os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')):
        raise BringupError(
            'rviz is true, but there is no display here: DISPLAY and WAYLAND_DISPLAY are not set. '
            'Leave it out with rviz=false, or start it where there is one: rviz2 -d '
            'config/lwd.rviz')
