# SPDX-License-Identifier: Apache-2.0
"""Errors of lwd_policy."""


class PolicyError(Exception):
    """Base of the errors of this package."""
