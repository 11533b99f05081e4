# SPDX-License-Identifier: Apache-2.0
"""Shared by all tests: each that needs a ROS graph gets a domain of its own, on this machine."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import os

import pytest

os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
os.environ.setdefault('MUJOCO_GL', 'egl')
# Comes with CUDA builds of torch. Loaded after Mesa, it crashes: both bring an LLVM of their own.
if importlib.util.find_spec('triton') is not None:
    importlib.import_module('triton')

# 0 to 101 are safe on every platform. Fleets use 0 to 39, demos 70 to 101, tests what is between.
_FIRST, _COUNT = 40, 30
_domains = itertools.count(os.getpid() % _COUNT)


@pytest.fixture
def ros_domain(monkeypatch: pytest.MonkeyPatch) -> int:
    """Return a ROS domain that no other test of this run uses, set for child processes too."""
    domain = _FIRST + next(_domains) % _COUNT
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
    return domain
