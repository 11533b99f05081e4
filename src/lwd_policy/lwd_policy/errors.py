# SPDX-License-Identifier: Apache-2.0
"""Errors of lwd_policy."""


class PolicyError(Exception):
    """Base of the errors of this package."""


class ConfigError(PolicyError, ValueError):
    """A policy's configuration names something unknown, or asks for the impossible."""


class LayoutError(PolicyError):
    """Data of another layout than the policy's: joints, horizon, scene features, cameras."""
