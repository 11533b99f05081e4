# SPDX-License-Identifier: Apache-2.0
"""`lwd doctor`: what this machine has, what it lacks, and how to get it."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

MUJOCO = '3.10'


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    what: str
    status: Literal['ok', 'note', 'missing']
    """note: only some uses need it."""
    detail: str
    remedy: str = ''


def _python() -> Finding:
    found = '.'.join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] in ((3, 11), (3, 12)):
        return Finding('Python', 'ok', found)
    return Finding('Python', 'missing', f'{found}; LWD needs 3.11 or 3.12',
                   'rm -rf .venv && PYTHON=python3.11 tools/setup.sh')


def _ros() -> Finding:
    try:
        importlib.import_module('rclpy')
        importlib.import_module('rclpy._rclpy_pybind11')
    except ImportError as error:
        return Finding('ROS 2', 'missing', f'rclpy: {error}',
                       'tools/setup.sh, or install ROS 2 Jazzy and source its setup.bash')
    kind = os.environ.get('ROS_DISTRO', '')
    return Finding('ROS 2', 'ok', f'{kind} installation' if kind else 'Jazzy, from wheels')


def _messages() -> Finding:
    try:
        importlib.import_module('lwd_msgs.msg')
    except ImportError as error:
        return Finding('workspace', 'missing', f'lwd_msgs: {error}',
                       'tools/setup.sh, or colcon build and source install/setup.bash')
    return Finding('workspace', 'ok', 'lwd_msgs is built')


def _mujoco() -> Finding:
    try:
        found = version('mujoco')
    except PackageNotFoundError:
        return Finding('MuJoCo', 'missing', 'not installed', 'pip install mujoco==3.10.0')
    if not found.startswith(MUJOCO + '.'):
        return Finding('MuJoCo', 'missing', f'{found}; LWD is tested with {MUJOCO}',
                       'pip install mujoco==3.10.0')
    return Finding('MuJoCo', 'ok', found)


def _rendering() -> Finding:
    try:
        from g1_sim import tasks
        from g1_sim.render import CameraRig
        from g1_sim.world import World
        with CameraRig(['head'], width=32, height=32) as rig:
            image = rig.images(World(tasks.get('restock').scene(0)))['head']
    except Exception as error:  # noqa: BLE001  whatever fails is what the user must know
        return Finding(
            'rendering', 'missing', str(error),
            'apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri; export MUJOCO_GL=egl')
    if image.std() < 1.0:
        return Finding('rendering', 'missing', 'images are empty', 'try MUJOCO_GL=osmesa')
    return Finding('rendering', 'ok', os.environ.get('MUJOCO_GL', 'default platform'))


def _launch() -> Finding:
    if importlib.util.find_spec('launch_ros') is None:
        return Finding(
            'ros2 launch', 'note',
            'not installed (has no wheels); `lwd up` starts the same nodes',
            'on a ROS 2 installation: apt-get install ros-jazzy-launch-ros')
    return Finding('ros2 launch', 'ok', 'installed')


def _sdk() -> Finding:
    if importlib.util.find_spec('a2d_sdk') is None:
        return Finding('a2d_sdk', 'note', 'not here; needed on a real G1 only',
                       'on the robot: source a2d_sdk/env.sh')
    return Finding('a2d_sdk', 'ok', 'installed')


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    if free < 5.0:
        return Finding('disk', 'missing', f'{free:.1f} GB free here; recording needs room',
                       'free some space, or run in a folder on a larger disk')
    return Finding('disk', 'ok', f'{free:.0f} GB free')


CHECKS: tuple[Callable[[], Finding], ...] = (
    _python, _ros, _messages, _mujoco, _rendering, _disk, _launch, _sdk)


def examine() -> list[Finding]:
    """Return all findings."""
    return [check() for check in CHECKS]
