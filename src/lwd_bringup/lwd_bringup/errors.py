# SPDX-License-Identifier: Apache-2.0
"""Errors of lwd_bringup."""


class BringupError(Exception):
    """Base of the errors of this package; the lwd command prints it without a trace."""


class ConfigError(BringupError, ValueError):
    """A configuration file that cannot be used."""
