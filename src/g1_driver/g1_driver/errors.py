# SPDX-License-Identifier: Apache-2.0
"""Errors of g1_driver. A message says what, with which value, where, and what to do."""


class DriverError(Exception):
    """Base of the errors of this package."""


class ConfigurationError(DriverError, ValueError):
    """A parameter that cannot be right."""


class ConnectionRefusedByCheckError(DriverError):
    """The robot answered, but not as the configuration says; nothing was moved."""


class RobotFaultError(DriverError):
    """The robot's state is lost or implausible; the loop holds."""


class ResetError(DriverError):
    """A reset or a change of task that cannot be done."""
