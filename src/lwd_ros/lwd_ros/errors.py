# SPDX-License-Identifier: Apache-2.0
"""Errors of lwd_ros."""


class RosError(Exception):
    """Base of the errors of this package."""


class ParameterError(RosError, ValueError):
    """A parameter that is unknown or cannot be right."""
