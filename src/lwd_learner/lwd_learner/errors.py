# SPDX-License-Identifier: Apache-2.0
"""Errors of lwd_learner."""


class LearnerError(Exception):
    """Base of the errors of this package."""


class ConfigError(LearnerError, ValueError):
    """A setting is unknown or impossible."""


class DataError(LearnerError):
    """The data do not fit: nothing has been trained on them."""


class NoEpisodeError(DataError):
    """There is no episode to learn from; later there may be one."""


class DivergedError(LearnerError):
    """A loss or a gradient is not finite; the message names the batch."""


class GateError(LearnerError):
    """The critic does not rank chunks yet: the actor must not follow it."""
