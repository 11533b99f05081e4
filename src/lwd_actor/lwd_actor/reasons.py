# SPDX-License-Identifier: Apache-2.0
"""Why somebody takes over from the policy."""

from __future__ import annotations

import enum


class Reason(enum.IntEnum):
    """The values of lwd_msgs/Intervention.REASON_*."""

    NONE = 0
    OPERATOR = 1
    STUCK = 2
    DROPPED = 3
    WRONG_OBJECT = 4
    UNSAFE = 5
