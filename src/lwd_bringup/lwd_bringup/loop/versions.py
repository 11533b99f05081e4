# SPDX-License-Identifier: Apache-2.0
"""Which software a run ran with, kept in its folder: a line a start."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path

FILE = 'versions.jsonl'
_PACKAGES = ('torch', 'numpy', 'mujoco', 'mcap', 'opencv-python-headless', 'ros-rclpy')
_UNKNOWN = 'unknown'


def versions() -> dict[str, str]:
    """Return the versions of what a run depends on, and the machine."""
    found = {
        'time': time.strftime('%Y-%m-%dT%H:%M:%S%z'), 'source': _commit(),
        'python': platform.python_version(),
        'system': platform.platform(), 'processors': str(os.cpu_count())}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            # A distribution of ROS brings its own, not as Python packages.
            found[name] = _UNKNOWN
    found['ros'] = os.environ.get('ROS_DISTRO', _UNKNOWN)
    return found


def keep(folder: Path) -> None:
    """Add a line for this start to a run's folder."""
    with (folder / FILE).open('a', encoding='utf-8') as file:
        file.write(json.dumps(versions()) + '\n')


def read(folder: Path) -> list[dict[str, str]]:
    """Return what was kept, a start each; a line that was cut short is left out."""
    try:
        lines = (folder / FILE).read_text(encoding='utf-8').splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            found.append({str(name): str(value) for name, value in row.items()})
    return found


def _commit() -> str:
    """Return the commit of the source tree, with a mark if it was changed since."""
    try:
        said = subprocess.run(  # noqa: S603
            ['git', '-C', str(Path(__file__).parent), 'describe', '--always',  # noqa: S607
             '--dirty', '--abbrev=12'], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return _UNKNOWN
    return said.stdout.strip()
