# SPDX-License-Identifier: Apache-2.0
"""Shared by all tests: each that needs a ROS graph gets a domain of its own, on this machine."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import os
import socket
from collections.abc import Iterator

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
def ros_domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Yield a ROS domain that no other test on this machine uses, for child processes too."""
    with socket.socket(socket.AF_UNIX) as claim:
        domain = _claimed(claim)
        monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
        yield domain


def _claimed(claim: socket.socket) -> int:
    """Return the next free domain; nobody else gets it until the socket is closed."""
    for _ in range(_COUNT):
        domain = _FIRST + next(_domains) % _COUNT
        try:
            # Of no folder, and gone with its process, whatever ends that.
            claim.bind(f'\0lwd-test-domain-{domain}')
        except OSError:
            continue
        return domain
    raise RuntimeError(
        f'all ROS domains from {_FIRST} to {_FIRST + _COUNT - 1} are in use by other tests on '
        'this machine; wait for them, or end them')
