# SPDX-License-Identifier: Apache-2.0
"""Shared by all tests: each that needs a ROS graph gets a domain of its own, on this machine."""

from __future__ import annotations

import itertools
import os

import pytest

os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
os.environ.setdefault('MUJOCO_GL', 'egl')

# A fleet uses 0 to 59, a demo 60 to 99; 100 up to 231 are left on every platform's port range.
_domains = itertools.count(os.getpid() % 130)


@pytest.fixture
def ros_domain(monkeypatch: pytest.MonkeyPatch) -> int:
    """Return a ROS domain that no other test of this run uses, set for child processes too."""
    domain = 100 + next(_domains) % 130
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
    return domain
