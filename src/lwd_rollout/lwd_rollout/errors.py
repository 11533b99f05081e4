# SPDX-License-Identifier: Apache-2.0
"""Errors of lwd_rollout."""


class RolloutError(Exception):
    """Base of the errors of this package."""


class PoolError(RolloutError):
    """A pool that cannot be made, continued or read."""


class EvaluationError(RolloutError):
    """An evaluation that cannot be done as asked."""


class TableError(RolloutError):
    """A comparison of methods that cannot be begun, gone on with or shown."""
