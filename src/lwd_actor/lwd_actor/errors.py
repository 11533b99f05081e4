# SPDX-License-Identifier: Apache-2.0
"""Errors of lwd_actor."""


class ActorError(Exception):
    """Base of the errors of this package."""
