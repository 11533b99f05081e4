# SPDX-License-Identifier: Apache-2.0
"""Which ROS domains are for what."""

from __future__ import annotations

import os

# Fleets keep 0 to 39 and tests 40 to 69; a demo takes one of the rest, so that two do not meet.
_FIRST_DOMAIN, _DOMAINS = 70, 32


def free_domain() -> int:
    """Return a ROS domain that another process's demo is unlikely to use."""
    return _FIRST_DOMAIN + os.getpid() % _DOMAINS
